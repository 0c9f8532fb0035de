"""Reads what earlier versions of snakeval wrote about runs.

The next release removes this module; docs/decisions/6-old-formats.md lists all such readers.
"""

from __future__ import annotations

import re

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import read_text
from snakeval.run.directory import RunDirectory

_RUNTIME = re.compile(rb"^snakeval: runtime: (\w+)", re.MULTILINE)
_HEAD_BYTES = 4 * 1024
_VERSION = re.compile(r"^# Run \w+, resolved by snakeval (\S+)$")


def runtime(directory: EvaluationDirectory, attempt: int) -> tuple[str, str]:
    """Return an attempt's runtime and its container's name, as the head of its log has them."""
    try:
        with directory.attempt_log(attempt).open("rb") as file:
            found = _RUNTIME.search(file.read(_HEAD_BYTES))
    except OSError:
        return "", ""
    name = found[1].decode() if found else ""
    return name, directory.container_name if name in ("docker", "podman") else ""


def resolved_by(run: RunDirectory) -> str:
    """Return the version in the first line of a run's saved configuration; empty if it has none.

    Raises:
        OSError, ValueError: the configuration cannot be read.
    """
    found = _VERSION.match(read_text(run.config).split("\n", 1)[0])
    return found[1] if found else ""
