"""The verdict on an answer, and its facts.

Only a whole and sane 2xx is sound. A 200 with an ``error``, or with choices that no client can
read, is a failure of the endpoint, like a 5xx: harnesses read it as an empty answer and score it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from snakeval.ledger import http
from snakeval.ledger.asked import Asked
from snakeval.ledger.asked import parsed as parsed
from snakeval.ledger.choices import choices_of
from snakeval.ledger.endings import DIED, UNKNOWN, died
from snakeval.ledger.events import Events
from snakeval.ledger.forms import defect, member_at, stream_defect
from snakeval.ledger.http import Headers

#: The journal keeps the answer.
SOUND = "sound"
#: The harness receives the answer, and the journal does not keep it.
PASSED = "passed"
#: The endpoint refuses requests for now.
LIMITED, BUSY = "429", "503"
#: The endpoint failed.
FAILED = "5xx"
#: A proxy before the endpoint reports that it is away.
AWAY = "502"
#: A 200 whose body reports an error.
ERROR = "error"
#: A 200 whose choices the harness cannot read.
MALFORMED = "malformed"
#: No whole answer came, or none in time.
BROKEN, LATE = "broken", "timeout"
#: Statuses of requests that an endpoint refuses whatever its load.
REFUSALS = frozenset({400, 413, 422})
#: Endpoints also say with these statuses what another key, a payment or a minute changes.
_PASSING = re.compile(
    rb"\b(credit|billing|quota|balance|payment|rate.?limit|throttl|overload|capacity|temporar"
    rb"|time.?out|timed.out|unavailable|auth|permission|expired|load|(key|ready|try again)\b)",
    re.IGNORECASE,
)
#: Content codings that the gateway can read.
CODINGS = ("gzip", "deflate", "identity")


@dataclass
class Facts:
    """The properties of a sound answer that summaries count."""

    tokens: dict[str, int] = field(default_factory=dict)
    finish: list[str] = field(default_factory=list)
    empty: int = 0
    #: The defect that keeps the harness from reading the answer, or an empty text.
    defect: str = ""

    def data(self) -> dict[str, Any]:
        """Return the facts as JSON data, without those that are missing."""
        pairs = {"tokens": self.tokens, "finish": self.finish, "empty": self.empty}
        return {name: value for name, value in pairs.items() if value}


def judge(
    status: int,
    headers: Headers,
    body: bytes,
    target: str = "",
    request: bytes = b"",
    exact: bool = False,
) -> tuple[str, Facts]:
    """Return the verdict on a whole answer that was no stream, and its facts.

    It is the answer to the body *request*, sent to *target*. *exact* is as in :func:`forms.defect`.
    """
    if status == 429:
        return LIMITED, Facts()
    if status == 503:
        return BUSY, Facts()
    if status in (502, 504):
        return AWAY, Facts()
    if status >= 500 or status == 408:
        return FAILED, Facts()
    if not 200 <= status < 300 or not body:
        return PASSED, Facts()
    plain = decoded(headers, body)
    kind = media_type(headers)
    if plain is None or kind == "text/html":
        return PASSED, Facts()
    data = parsed(plain)
    # Answers of other routes may have any form.
    has_choices = bool(member_at(target))
    if isinstance(data, dict) and data.get("error"):
        return ERROR, Facts()
    if has_choices and not (isinstance(data, dict) and data.get("choices")):
        return PASSED, Facts()
    if data is None:
        # Speech, images and plain text are sound; what claims to be JSON, or is a page, is not.
        page = plain[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))
        return (PASSED if page or "json" in kind else SOUND), Facts()
    if isinstance(data, dict) and data.get("choices", True) in ([], None):
        return PASSED, Facts()
    if not isinstance(data, dict):
        return SOUND, Facts()
    return _of(facts([data], request), defect(data, target, exact, Asked(request)))


def is_refusal(status: int, headers: Headers, body: bytes) -> bool:
    """Whether the endpoint refuses a request itself, and would refuse it again.

    Pages come from a proxy, not from the endpoint.
    """
    plain = decoded(headers, body) if status in REFUSALS else None
    if not plain or _PASSING.search(plain):
        return False
    return not plain.lstrip().startswith(b"<") and media_type(headers) != "text/html"


def judge_stream(events: Events, request: bytes = b"", target: str = "") -> tuple[str, Facts]:
    """Return the verdict on a stream that ended without breaking, and its facts."""
    if events.error is not None:
        return ERROR, Facts()
    if not events.ended:
        return PASSED, Facts()
    wrong = stream_defect(events.chunks, target) if events.chunks else ""
    return _of(facts(events.chunks, request), wrong)


def _of(found: Facts, wrong: str = "") -> tuple[str, Facts]:
    if any(map(died, found.finish)):
        return ERROR, Facts()
    # The tokens of an answer cost money, also if no client can read it.
    return (MALFORMED, replace(found, defect=wrong)) if wrong else (SOUND, found)


def media_type(headers: Headers) -> str:
    """Return the media type of a message in lower case, without parameters."""
    return http.value(headers, "content-type").partition(";")[0].strip().lower()


def coding(headers: Headers) -> str:
    """Return the content coding of a message in lower case."""
    found = http.tokens(http.values(headers, "content-encoding")) - {"identity"}
    return ",".join(sorted(found))


def decoded(headers: Headers, body: bytes) -> bytes | None:
    """Return a body without its content coding, or None if the coding is unknown or damaged."""
    decoder = decoder_of(coding(headers))
    if decoder is None:
        return None
    try:
        plain: bytes = decoder.decompress(body)
    except zlib.error:
        return None
    return plain if decoder.eof else None


class Plain:
    """A decoder of what is not coded."""

    eof = True

    def decompress(self, piece: bytes) -> bytes:
        """Return *piece*."""
        return piece


def decoder_of(name: str) -> Any:
    """Return an object with ``decompress`` for a content coding, or None if it is unknown."""
    if not name:
        return Plain()
    return zlib.decompressobj(47) if name in ("gzip", "x-gzip", "deflate") else None


def facts(parts: Sequence[dict[str, Any]], request: bytes = b"") -> Facts:
    """Return the facts of the answer to *request*: one JSON object, or the chunks of a stream."""
    found, inner = Facts(), []
    for part in parts:
        part = part["response"] if isinstance(part.get("response"), dict) else part
        inner.append(part)
        usage = part.get("usage")
        if isinstance(usage, dict):
            found.tokens = tokens(usage)
    asked = Asked(request)
    for choice in choices_of(inner):
        found.finish.append(DIED if choice.is_error else choice.finish or UNKNOWN)
        found.empty += bool(choice.lack(asked))
    return found


def tokens(usage: dict[str, Any]) -> dict[str, int]:
    """Return the token counts of a ``usage`` object under common names."""
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    cached = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    pairs = {
        "prompt": usage.get("prompt_tokens", usage.get("input_tokens")),
        "completion": usage.get("completion_tokens", usage.get("output_tokens")),
        "reasoning": details.get("reasoning_tokens") if isinstance(details, dict) else None,
        "cached": cached.get("cached_tokens") if isinstance(cached, dict) else None,
    }
    return {
        name: value
        for name, value in pairs.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
    }
