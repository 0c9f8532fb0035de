"""Finds in a server's log why the server did not start, or why it died.

The last line is seldom the cause. vLLM, SGLang, TensorRT-LLM and text-generation-inference end with
a message about a child process, whose own traceback is far above. llama.cpp ends with a summary.
Messages of Python may have several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.ledger.plain_text import shortened, visible
from snakeval.logs import tail

#: How many bytes of a log's end to search; tracebacks of many workers are long.
_BYTES = 512 * 1024
#: The most lines of a message.
_MESSAGE_LINES = 12
#: Error lines with at most so many other lines between them are about one failure.
_GAP = 60

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: The process in front of a line, such as ``(EngineCore_0 pid=12)`` or the rank in ``[… TP0]``.
_PROCESS = re.compile(r"\((?P<name>[^()]*\bpid=\d+[^()]*)\) ?")
#: The text of a logger in front of a message, in the forms of the servers above.
_LOGGER = re.compile(
    r"(?:"
    r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \[[^\]]*\] ?"
    r"|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]*\] (?:(?:ERROR|WARNING|INFO|CRITICAL)\b[^:]*: )?"
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z +(?:ERROR|WARN|INFO)\b(?: [\w-]+:)* ?"
    r"|\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] (?:\[[\w -]+\] )+"
    r"|\d+\.\d\d\.\d{3}\.\d{3} [A-Z] "
    r")"
)
_HARMLESS = re.compile(r"\b(?:DEBUG|INFO|WARN|WARNING)\b|\[[DIVW]\]| [DIW] $")
#: The field with which text-generation-inference ends a message.
_RANK = re.compile(r" rank=\d+$")
_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = re.compile(r"(During handling of|The above exception was the direct cause)")
_EXCEPTION = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
#: Exceptions whose name says nothing beyond their message.
_PLAIN = frozenset(("Exception", "RuntimeError", "ValueError", "OSError", "AssertionError"))
#: A message that only points at another one, or that follows from the failure of another process.
_FOLLOWS = re.compile(
    r"root cause|see (?:the )?stack trace|check the logs? for more|"
    r"[Ee]ngine core initialization failed|EngineDeadError|EngineCore encountered|"
    r"WorkerProc initialization failed|Executor worker (?:returned error|died)|"
    r"Engine process failed to start|EngineCore failed to start|output_handler failed|"
    r"engine core exited unexpectedly|"
    r"Shard ?(?:CannotStart|Failed|complete)|Shard \d+ failed|Webserver ?(?:Crashed|Failed)|"
    r"Received sigquit|[Ss]cheduler is dead|scheduler died|hit an exception|"
    r"ChildFailedError|ProcessRaisedException|exited with code|"
    r"exiting due to|[Ff]ailed to load (?:the )?model\b|unable to load model|"
    r"resource_tracker|leaked \w+ objects|destroy_process_group|"
    r"^(?:SystemExit|KeyboardInterrupt|EOFError|BrokenPipeError|ConnectionResetError|"
    r"asyncio\.exceptions\.CancelledError|CancelledError)\b"
)
#: A failure of one process as the others see it: only if there is nothing else.
_OF_OTHERS = re.compile(
    r"NCCL|Gloo|DistBackendError|TCPStore|[Cc]onnection (?:closed|reset) by|peer"
)
_ERROR_LINE = re.compile(
    r"\b(?:error|ERROR|\w*Error|FATAL|fatal|failed|Failed|died|unable to|cannot|out of memory|"
    r"[Aa]ssertion|signal \d+|unrecognized arguments|invalid choice|No such file|not found)\b"
)
#: Stack frames of C++ and Python's carets, which are no message.
_FRAME = re.compile(r"(?:#?\d+ +0x|frame #\d+|\[[^\]]*\] \[ ?\d+\]|[ ^~]+$)")
#: The message of pydantic: a title, then for each field its place and a message.
_PYDANTIC = re.compile(r"\d+ validation errors? for (?P<model>\w+)")
_PYDANTIC_DETAIL = re.compile(r"\s*\[type=.*|For further information visit .*")
#: The end of a message that a list of alternatives follows.
_OF_A_LIST = re.compile(r" (?:from )?(?:one|any) of(?: the following)?:$")
#: A process that a signal ended, as its parent reports it.
_DIED = re.compile(
    r"died unexpectedly|exited unexpectedly|EngineDeadError|[Ee]ngine core proc\w* \S+ died|"
    r"(?:killed|terminated|shutdown) (?:by|with) signal|exit ?code:? ?-9\b|SIGKILL"
)
_SECRETS = (
    (re.compile(r"\b(hf_|sk-|nvapi-|ghp_|gho_|glpat-|xox\w-)[\w-]{6,}"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"://[^/\s@]+@"), "://***@"),
    (
        re.compile(r"(?i)((?:key|token|secret|password)['\"]?\s*[=:]\s*['\"]?)[^\s'\",]{8,}"),
        r"\1***",
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without what a logger put in front of it.

    Attributes:
        process: the process that wrote it, if the logger says so.
        logged: whether a logger wrote it.
        harmless: whether that was below the level of an error.
    """

    text: str
    process: str
    logged: bool
    harmless: bool


def cause(log: Path, limit: int = 300) -> str:
    """Return the cause of a failure in *log* as a sentence of at most *limit* characters.

    It is empty if no line looks like a cause.
    """
    lines = list(_lines(tail(log, _BYTES)))
    found = list(_exceptions(lines))
    sound = [text for text in found if not _FOLLOWS.search(text)]
    best = [text for text in sound if not _OF_OTHERS.search(text)]
    others = _error_lines(lines) if not best else []
    chosen = (best[-1:] or others[:1] or sound[:1] or found[-1:] or [""])[0]
    text = _RANK.sub("", " ".join(chosen.split()))
    return shortened(_without_secrets(visible(text)), limit)


def points_elsewhere(text: str) -> bool:
    """Whether a cause only follows from another failure, which the log does not have."""
    return _FOLLOWS.search(text) is not None


def died(log: Path) -> bool:
    """Whether *log* reports that a process of the server died, as one that was killed."""
    return any(_DIED.search(line.text) for line in _lines(tail(log, _BYTES)))


def _without_secrets(text: str) -> str:
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def _lines(text: str) -> Iterator[_Line]:
    for line in _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        process = ""
        if found := _PROCESS.match(line):
            process, line = found["name"], line[found.end() :]
        if logger := _LOGGER.match(line):
            line = line[logger.end() :]
        harmless = logger is not None and _HARMLESS.search(logger[0]) is not None
        yield _Line(line.rstrip(), process, logger is not None, harmless)


def _exceptions(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield the message of the last exception of each chain of tracebacks.

    Lines of several processes may alternate, so each process is read separately.
    """
    for process in dict.fromkeys(line.process for line in lines):
        own = [line for line in lines if line.process == process]
        chained = ""
        for number, line in enumerate(own):
            if _TRACEBACK not in line.text:
                continue
            message, after = _message(own, number + 1)
            following = [each.text for each in own[after : after + 3]]
            if any(map(_CHAINED.match, following)):
                chained = message
                continue
            # The later exception may only point at the earlier one.
            yield chained if chained and _FOLLOWS.search(message) else message
            chained = ""


def _message(lines: Sequence[_Line], start: int) -> tuple[str, int]:
    """Return the message of the traceback whose frames begin at *start*, and where it ends."""
    logged = lines[start - 1].logged
    number = start
    while number < len(lines) and (
        not lines[number].text
        or lines[number].text[0] in " \t|+"
        or _FRAME.match(lines[number].text)
    ):
        number += 1
    if number == len(lines):
        return "", number
    first = _EXCEPTION.match(lines[number].text)
    if first is None:
        return lines[number].text, number + 1
    name = first["type"].rpartition(".")[2]
    rest = []
    for line in lines[number + 1 : number + _MESSAGE_LINES]:
        if not line.text or line.logged != logged or _TRACEBACK in line.text:
            break
        if _FRAME.match(line.text) or line.text.startswith(("INFO", "WARNING", "[rank")):
            break
        rest.append(line.text)
    return _sentence(name, first["message"] or "", rest), number + 1 + len(rest)


def _sentence(name: str, message: str, rest: Sequence[str]) -> str:
    if found := _PYDANTIC.match(message):
        details = " ".join(_PYDANTIC_DETAIL.sub("", line).strip() for line in rest)
        return f"{found['model']}: {details.strip().removeprefix('Value error, ')}"
    # A list of alternatives leaves no room for what to do about it, which is the last line.
    message = _OF_A_LIST.sub(".", message) if rest else message
    parts = [message, *rest] if len(message) + sum(map(len, rest)) < 200 else [message, *rest[-1:]]
    text = " ".join(" ".join(parts).split())
    return text if name in _PLAIN and text else ": ".join(filter(None, (name, text)))


def _error_lines(lines: Sequence[_Line]) -> list[str]:
    """Return the lines of the last failure that look like an error and explain it, in order."""
    found: list[str] = []
    distance = 0
    for line in reversed(lines):
        distance += 1
        text = line.text.strip()
        if found and distance > _GAP:
            break
        if line.harmless or _FRAME.match(text) or not _ERROR_LINE.search(text):
            continue
        distance = 0
        if not _FOLLOWS.search(text) and not text.startswith(("File ", "snakeval: ")):
            found.insert(0, text)
    return found
