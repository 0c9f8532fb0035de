"""NVIDIA's command `lep`. Several commands share one process, because its imports take a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROGRAM = """
import json, sys
from leptonai.cli import lep
for words in json.loads(sys.argv[1]):
    try:
        lep(words, standalone_mode=False)
    except SystemExit as ended:
        if ended.code:
            raise
    print(end="\\0", flush=True)
"""


def lep(directory: Path, env: Mapping[str, str], *commands: Sequence[str]) -> list[str]:
    """Return what each command prints; *directory* is for the command's own files."""
    (directory / "latest_version_check").write_text(str(int(time.time())))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(commands)],
        env={**os.environ, **env, "COLUMNS": "300", "LEPTON_CACHE_DIR": str(directory)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *printed, rest = done.stdout.split("\0")
    assert rest == ""
    return printed
