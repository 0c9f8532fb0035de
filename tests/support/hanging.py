"""An apptainer whose conversions never end, in a process that left its group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROGRAM = """#!/bin/sh
if [ "$1" = exec ]; then echo --no-eval; exit; fi
setsid sh -c 'echo $$ > "$HANGS.new"; mv "$HANGS.new" "$HANGS"; sleep 1800; :' &
wait
"""


def variables(directory: Path) -> dict[str, str]:
    """Write the program; return the variables with which it is found.

    It writes the pid of a conversion to `directory/hangs`.
    """
    program = directory / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {"PATH": path, "HANGS": str(directory / "hangs")}


def installed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make it the apptainer of this process; return the file with the pid of a conversion."""
    for name, value in variables(directory).items():
        monkeypatch.setenv(name, value)
    return directory / "hangs"
