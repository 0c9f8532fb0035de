"""Says in words what a harness's HTTP client met, from the exceptions in the harness's log.

A harness that sends several requests at a time closes its session after the first failure, so its
log ends with errors of requests that this cut off. The first kind of failure is the cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from snakeval.logs import tail

#: How many bytes of a log's end to search: each request has a traceback of 8 kB.
_BYTES = 1024 * 1024
#: Frames of HTTP clients, and of the harness that has one.
_CLIENT = re.compile(r"\b(?:aiohttp|requests|httpx|httpcore|openai|urllib3|lm_eval)\b")
_LINE = re.compile(r"^(?:[\w.]+\.)?(?P<name>\w+)(?:: (?P<message>.*))?$", re.MULTILINE)
_TYPE = re.compile(r"unexpected mimetype: (?P<type>[^,;']*)")
#: The messages of lm-evaluation-harness for an answer of which it read nothing.
_NO_CHOICES = re.compile(r"zip\(\) argument 2 is shorter than argument 1")


def in_words(log: Path, request_timeout: int) -> str:
    """Return the failure of the requests in a sentence, or nothing if it is none of these."""
    end = tail(log, _BYTES)
    if _CLIENT.search(end) is None:
        return ""  # a time-out may then be of anything
    for found in _LINE.finditer(end):
        if say := _WORDS.get(found["name"]):
            text = say(found["message"] or "", request_timeout)
            if text:
                return text
    return ""


def _no_answer(_: str, request_timeout: int) -> str:
    return f"the endpoint did not answer within {request_timeout} s; raise request_timeout"


def _no_json(message: str, _: int) -> str:
    found = _TYPE.search(message)
    kind = (found and found["type"].strip()) or "an unknown type"
    page = " It may be a login page or an error page of a proxy." if kind == "text/html" else ""
    return f"the endpoint answers {kind}, no JSON; check the endpoint's url.{page}"


def _no_choices(message: str, _: int) -> str:
    return "the endpoint sent an answer without choices" if _NO_CHOICES.search(message) else ""


_WORDS: dict[str, Callable[[str, int], str]] = {
    "TimeoutError": _no_answer,
    "ReadTimeout": _no_answer,
    "ServerTimeoutError": _no_answer,
    "SocketTimeoutError": _no_answer,
    "ContentTypeError": _no_json,
    "ValueError": _no_choices,
}
