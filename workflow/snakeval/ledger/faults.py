"""Notes of requests that went wrong: what the endpoint said, how often, since when, and where.

The reason of a failed evaluation comes from these notes. They are in the gateway's summary, and
their number and size are bounded. Equal faults are one note; numbers in their messages do not
distinguish them, since they are often ids of requests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Callable

from snakeval.ledger import answers, http
from snakeval.ledger.client import Call
from snakeval.ledger.http import Headers
from snakeval.ledger.outcome import Outcome
from snakeval.ledger.plain_text import one_line

#: Kinds of faults besides the verdicts of ``answers``: a 3xx, a 4xx, a page with a 200, an answer
#: without choices, one that claims to be JSON, one without a body, a stream without an end.
REDIRECT, REFUSED, PAGE, NO_CHOICES = "redirect", "refused", "page", "no choices"
NO_JSON, NOTHING, CUT = "no JSON", "nothing", "cut"
#: Kinds of answers that are kept and that some harnesses cannot read: JSON that is sent as text,
#: and choices without ``index``.
MISTYPED, NO_INDEX = "mistyped", "no index"
#: How many notes are kept; further faults are counted with the last one of their kind.
MOST = 16
#: How much of a body is read for its message. No body may hold up the other requests.
_READ = 1 << 14
_IDS = re.compile(r"\b[0-9a-fA-F-]*\d[0-9a-fA-F-]*\b|\d+")
#: Elements that say what a page is, and those whose text no person sees.
_TITLES = [re.compile(rf"<{name}\b", re.IGNORECASE) for name in ("title", "h1")]
_UNSEEN = re.compile(r"<(script|style)\b", re.IGNORECASE)
#: The first line of an error of Python, whose last line is the cause.
_TRACEBACK = "Traceback (most recent call last)"
_EVENT = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
#: The members of JSON that hold a message, the most usual one first.
_MEMBERS = ("error", "message", "msg", "detail", "errors", "error_description", "reason", "title")


@dataclass
class Fault:
    """Requests that went wrong in one way.

    Attributes:
        kind: a verdict of ``answers``, or one of the kinds of this module.
        asked: method and URL without its query.
        message: of the endpoint, or of the connection, in at most 300 characters.
        param, code: as OpenAI's errors have them, or empty.
        tries: how many tries ended so.
        ended: how many requests ended so, with no further try.
        first, last: when, in seconds since 1970.
        wait: the longest ``Retry-After`` in seconds, or 0.
    """

    kind: str
    status: int
    asked: str
    message: str
    param: str = ""
    code: str = ""
    tries: int = 0
    ended: int = 0
    first: float = 0.0
    last: float = 0.0
    wait: float = 0.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Fault:
        """Build it from a summary, which another version may have written.

        Raises:
            TypeError, ValueError, KeyError: it is damaged.
        """
        return cls(
            str(data["kind"]),
            int(data["status"]),
            str(data["asked"]),
            str(data.get("message", "")),
            str(data.get("param", "")),
            str(data.get("code", "")),
            tries=int(data.get("tries", 0)),
            ended=int(data.get("ended", 0)),
            first=float(data.get("first", 0.0)),
            last=float(data.get("last", 0.0)),
            wait=float(data.get("wait", 0.0)),
        )

    def count(self, now: float, wait: float = 0.0) -> None:
        """Count a try."""
        self.tries += 1
        self.first, self.last = self.first or round(now, 1), round(now, 1)
        self.wait = max(self.wait, wait)


class Faults:
    """The faults of one endpoint.

    Args:
        clock: returns the seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._notes: dict[tuple[str, int, str, str], Fault] = {}

    def note(self, origin: str, call: Call, outcome: Outcome, *, ended: bool) -> None:
        """Note a try that did not succeed; *ended* says that it was the last one."""
        kind = kind_of(outcome)
        message, param, code = said(outcome.headers, outcome.body)
        if kind == answers.MALFORMED:
            message = outcome.facts.defect
        if kind == REDIRECT:
            # A query may hold a key, or a token of a login.
            message = one_line(http.value(outcome.headers, "location").partition("?")[0])
        # An answer that never came has the gateway's own status.
        came = kind not in (answers.BROKEN, answers.LATE)
        found = self._find(
            Fault(
                kind,
                outcome.status if came else 0,
                _asked(origin, call.method, call.target),
                message,
                param,
                code,
            )
        )
        found.count(self._clock(), outcome.retry_after)
        found.ended += ended

    def look(self, origin: str, method: str, target: str, headers: Headers, body: bytes) -> None:
        """Note an oddity of a sound answer that some harnesses cannot read."""
        kind = oddity(headers, body)
        if kind:
            message = answers.media_type(headers)
            self._find(Fault(kind, 200, _asked(origin, method, target), message)).count(
                self._clock()
            )

    def _find(self, new: Fault) -> Fault:
        """Return the note of *new*, which is another one if there are too many."""
        key = (new.kind, new.status, new.asked, _IDS.sub("", new.message))
        if key not in self._notes and len(self._notes) >= MOST:
            alike = [note for note in self._notes.values() if note.kind == new.kind]
            return alike[-1] if alike else self._notes[next(reversed(self._notes))]
        return self._notes.setdefault(key, new)

    def data(self) -> list[dict[str, Any]]:
        """Return the notes as JSON data, in the order in which they came."""
        return [asdict(note) for note in self._notes.values()]


def _asked(origin: str, method: str, target: str) -> str:
    # A query may hold a key.
    return one_line(f"{method} {origin}{target.partition('?')[0]}", 200)


def kind_of(outcome: Outcome) -> str:
    """Return the kind of what is no sound answer."""
    if outcome.verdict != answers.PASSED:
        return outcome.verdict
    if outcome.status >= 300:
        return REFUSED if outcome.status >= 400 else REDIRECT
    kind = answers.media_type(outcome.headers)
    if kind == "text/event-stream":
        return CUT
    if not outcome.body:
        return NOTHING
    plain_body = answers.decoded(outcome.headers, outcome.body) or b""
    if kind == "text/html" or plain_body[:512].lstrip().lower().startswith((b"<!doc", b"<html")):
        return PAGE
    return NO_CHOICES if isinstance(answers.parsed(plain_body), dict) else NO_JSON


def oddity(headers: Headers, body: bytes) -> str:
    """Return the kind of a sound answer that some harnesses cannot read, or nothing."""
    kind = answers.media_type(headers)
    if kind.startswith(("audio/", "image/")) or kind == "text/event-stream":
        return ""
    text = answers.decoded(headers, body) if answers.coding(headers) else body
    if not text or text[:64].lstrip()[:1] != b"{" or b'"choices"' not in text:
        return ""
    if "json" not in kind:
        return MISTYPED
    return NO_INDEX if b'"index"' not in text else ""


def said(headers: Headers, body: bytes) -> tuple[str, str, str]:
    """Return the message of a body, and ``param`` and ``code`` of an error of OpenAI's form."""
    text = answers.decoded(headers, body) or b""
    if answers.media_type(headers) == "text/event-stream":
        # Errors come as an event of their own, mostly the last one.
        text = next((e for e in reversed(_EVENT.findall(text[-_READ:])) if b'"error"' in e), b"")
    data = answers.parsed(text) if text[:64].lstrip()[:1] in (b"{", b"[", b'"') else None
    if data is None:
        if _TRACEBACK.encode() in text[:_READ]:
            text = _last_line(text.decode("utf-8", "replace")).encode()
        return one_line(readable(_text(text))), "", ""
    error = data.get("error") if isinstance(data, dict) else None
    error = error if isinstance(error, dict) else data if isinstance(data, dict) else {}
    param, code = (
        one_line(value, 80) if isinstance(value := error.get(name), str) else ""
        for name in ("param", "code")
    )
    return one_line(message_of(data)), param, code


def _text(body: bytes) -> str:
    """Return the text that a message is read from; what is no UTF-8 is read as Latin-1."""
    part = body[:_READ]
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        is_cut = len(body) > _READ and error.start >= _READ - 4
        return part.decode("utf-8", "replace") if is_cut else part.decode("latin-1")


def _last_line(text: str) -> str:
    """Return the last line of a traceback, which is the cause; other text does not change."""
    begins = text[:_READ].lstrip()
    if _TRACEBACK not in begins or begins.startswith("<"):
        return text
    return text[-_READ:].rstrip().rpartition("\n")[2]


def readable(text: str) -> str:
    """Return the title of a page or, without one, its text; other text does not change."""
    if "<" not in text[:512]:
        return text
    titles = (_without_tags(_element(text, begin)) for begin in _TITLES)
    return next((title for title in titles if title.strip()), "") or _without_tags(text)


def _element(text: str, begin: re.Pattern[str]) -> str:
    """Return the content of the first element that *begin* finds, or nothing."""
    found = begin.search(text)
    start = text.find(">", found.end()) + 1 if found else 0
    if not found or not start:
        return ""
    end = text.lower().find(f"</{found[0][1:].lower()}", start)
    return text[start:end] if end >= 0 else ""


def _without_tags(text: str) -> str:
    """Return the text of HTML, in a time that grows only with its length, whatever it is."""
    lower, parts, at = text.lower(), [], 0
    unclosed: set[str] = set()
    while (start := text.find("<", at)) >= 0:
        begin = start
        unseen = _UNSEEN.match(text, start)
        if unseen and (name := unseen[1].lower()) not in unclosed:
            begin = lower.find(f"</{name}", start)
            if begin < 0:
                unclosed.add(name)
                begin = start
        end = text.find(">", begin)
        if end < 0:
            break
        parts.append(text[at:start])
        at = end + 1
    return " ".join([*parts, text[at:]])


def message_of(data: Any, depth: int = 0) -> str:
    """Return the message of an error in JSON, whatever its form; nothing if it has none."""
    if depth > 5:
        return ""
    if isinstance(data, str):
        return readable(_last_line(data)[:_READ])
    if isinstance(data, list):
        return "; ".join(filter(None, (message_of(item, depth + 1) for item in data[:3])))
    if not isinstance(data, dict):
        return ""
    place, text = data.get("loc"), data.get("msg")
    if isinstance(place, list) and isinstance(text, str):  # of pydantic
        names = (str(each) for each in place[:5] if isinstance(each, (str, int)))
        return f"{'.'.join(names)}: {text}"
    found = (message_of(data[name], depth + 1) for name in _MEMBERS if data.get(name))
    message = next(filter(None, found), "")
    more = data.get("metadata")
    # Routers such as OpenRouter wrap the message of the provider.
    raw = more.get("raw") if isinstance(more, dict) else None
    if isinstance(raw, str) and raw not in message:
        inner = answers.parsed(raw.encode())
        message = f"{message}: {message_of(raw if inner is None else inner, depth + 1)}"
    return message
