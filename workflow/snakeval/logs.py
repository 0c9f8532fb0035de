"""Reads the end of logs, and the line in it that names an error."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: So much of a log's end is read: some hundred steps of a bar.
_TAIL_BYTES = 16 * 1024


def tail(log: Path, size: int = _TAIL_BYTES) -> str:
    """Return the last *size* bytes of *log* as text; nothing where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


#: So much of it is read to find an error.
_ERROR_BYTES = 64 * 1024


_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


#: A refused request says more than the last line: lm-evaluation-harness ends with "Session is
#: closed" whatever the endpoint answered.
_REFUSED = re.compile(r"(API request failed.*?Status code: \d+.*|.*\b[45]\d\d Client Error.*)$")


#: What the init of docker (tini) and of podman (catatonit) says of an image without a shell.
_NO_SHELL = re.compile(r"\[FATAL tini.*exec sh failed|ERROR \(catatonit.*failed to exec pid1")


#: How srun tells that a task of its step has ended, after all that the task said itself.
_END_OF_A_STEP = re.compile(r"(srun|slurmstepd\S*): error: (.*: tasks? [\d,-]+: |\*\*\* STEP )")


#: The last line of a Python traceback, or a line that calls itself an error.
_ERROR = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b.*|.*\b(?:ERROR|FATAL|(?:[Ee]rror|[Ff]atal):).*)$"
)


def without_shell(image: str, log: Path) -> str:
    """Say that *image* has no shell, if *log* does."""
    if not any(_NO_SHELL.search(line) for line in tail_lines(log)):
        return ""
    return (
        f"image {image} has no `sh`, under which snakeval runs it; add one to it, or name another "
        "image"
    )


def tail_lines(log: Path) -> list[str]:
    """Return the last lines of *log* that are not empty and not ours, without colours.

    Nor Slurm's: that a container which is a step has ended is not why.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ERROR_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [_ANSI.sub("", line).strip() for line in text.replace("\r", "\n").splitlines()]
    return [
        line
        for line in lines
        if line and not line.startswith("snakeval: ") and not _END_OF_A_STEP.match(line)
    ]


def last_error(log: Path) -> str:
    """Return the last line of *log* that reads like an error, or its last line."""
    lines = tail_lines(log)
    refused = [match[1] for line in lines if (match := _REFUSED.search(line))]
    errors = [line for line in lines if _ERROR.match(line)]
    return (refused or errors or lines or [""])[-1][:300]
