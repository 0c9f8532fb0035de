"""Reads the end of logs, and finds the line that explains an error."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snakeval.files import json_value
from snakeval.ledger.plain_text import visible

#: How many bytes of a log's end to read: some hundred steps of a progress bar.
_TAIL_BYTES = 16 * 1024


def tail(log: Path, size: int = _TAIL_BYTES) -> str:
    """Return the last *size* bytes of *log* as text; empty if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


#: How many bytes of a log's end to search for an error.
_ERROR_BYTES = 64 * 1024


_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


#: A rejected request explains more than the last line: lm-evaluation-harness always ends with
#: "Session is closed", independent of the endpoint's answer.
_REFUSED = re.compile(
    r"(API request failed.*?Status code: \d+.*|.*\b[45]\d\d (?:Client|Server) Error.*)$"
)


#: The message of docker's init (tini) and of podman's (catatonit) for an image without a shell.
_NO_SHELL = re.compile(r"\[FATAL tini.*exec sh failed|ERROR \(catatonit.*failed to exec pid1")


#: The message of srun for the end of a task, which follows the task's own output.
_END_OF_A_STEP = re.compile(r"(srun|slurmstepd\S*): error: (.*: tasks? [\d,-]+: |\*\*\* STEP )")


#: The line with which snakeval begins the log of an attempt.
_HEADER = re.compile(r"=== \S+ \S+ attempt \d+$")


#: The last line of a Python traceback, or a line with a word such as ERROR.
_ERROR = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b.*|.*\b(?:ERROR|FATAL|(?:[Ee]rror|[Ff]atal):).*)$"
)


#: The message in the body of a refusal: JSON of an OpenAI-compatible server, or a proxy's page.
_MESSAGE = re.compile(
    r'"(?:message|detail)"\s*:\s*(?P<json>"(?:[^"\\]|\\.)+")|<title>(?P<page>[^<]+)</title>'
)
#: How many lines of such a body to search.
_BODY_LINES = 40
#: With one request at a time, lm-evaluation-harness logs the body before the status.
_BODY_FIRST = re.compile(r"API request failed with error message: (.*)$")
_STATUS = re.compile(r"\b[45]\d\d (?:Client|Server) Error: [^:]*(?= for url)")


def _with_message(refused: str, after: list[str]) -> str:
    """Return a refusal with the message of its body, of which *refused* has the first line only."""
    start, mark, body = refused.partition(", Response text: ")
    message = _message(body, after) if mark else ""
    return f"{start}: {message}" if message else refused


def _message(body: str, after: list[str]) -> str:
    """Return the message in a body, of which *body* is the first line, or nothing."""
    if not body.lstrip().startswith(("{", "[", "<")):
        return ""
    if body.count("{") == body.count("}") > 0:
        after = []  # the line is the whole body
    found = _MESSAGE.search("\n".join([body, *after]))
    if found is None:
        return ""
    try:
        text = str(found["page"] or json_value(found["json"]))
    except ValueError:  # an escape that JSON does not have
        text = found["json"].strip('"')
    return " ".join(visible(text).split())


def _with_earlier_message(error: str, lines: list[str]) -> str:
    """Return the *error* of a status with the message of the body that *lines* have before it."""
    status = _STATUS.search(error)
    bodies = [(n, match[1]) for n, line in enumerate(lines) if (match := _BODY_FIRST.search(line))]
    if not status or not bodies:
        return error
    number, first = bodies[-1]
    message = _message(first, lines[number + 1 : number + _BODY_LINES])
    message = message or first.partition(". Retrying...")[0].strip()
    return f"{status[0]}: {message}" if message else error


def without_shell(image: str, log: Path) -> str:
    """Return the message that *image* has no shell, if *log* shows that; otherwise nothing."""
    if not any(_NO_SHELL.search(line) for line in tail_lines(log)):
        return ""
    return (
        f"image {image} has no `sh`, which snakeval requires; add a shell to the image, or choose "
        "another one"
    )


def tail_lines(log: Path) -> list[str]:
    """Return the last lines of *log*, visible, without colours, empty and snakeval's lines.

    Slurm's lines about the end of a step are also missing, since they explain no failure.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ERROR_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [visible(_ANSI.sub("", line).strip()) for line in text.replace("\r", "\n").splitlines()]
    return [
        line
        for line in lines
        if line
        and not line.startswith("snakeval: ")
        and not _HEADER.match(line)
        and not _END_OF_A_STEP.match(line)
    ]


def refused(line: str) -> bool:
    """Whether a line is about a request that the endpoint refused."""
    return _REFUSED.search(line) is not None


def last_error(log: Path) -> str:
    """Return the last line of *log* that looks like an error, or its last line."""
    lines = tail_lines(log)
    refusals = [
        _with_message(match[1], lines[number + 1 : number + _BODY_LINES])
        for number, line in enumerate(lines)
        if (match := _REFUSED.search(line))
    ]
    errors = [line for line in lines if _ERROR.match(line)]
    return _with_earlier_message((refusals or errors or lines or [""])[-1], lines)[:300]
