"""Finds the cause of a failed evaluation in what its gateway saw.

The rule, when the gateway saw faults and the harness ended with an error:

1. A fault counts if it ended a request, or if the harness did not wait for the answer. A fault that
   a later try healed does not.
2. Of several faults, the one that ended the most requests is the cause, and of equals the first.
   Requests to a model come before others, such as the list of models.
3. The fault is the cause if no request had a sound answer, or if the harness's own error is about
   requests. Otherwise the harness's error is the cause, and the fault follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import Seen, faults_seen
from snakeval.files import DAMAGE
from snakeval.jobs.fault_words import Asked, words_of
from snakeval.ledger import faults
from snakeval.ledger.answers import REFUSALS
from snakeval.ledger.faults import Fault
from snakeval.ledger.flights import HELPERS
from snakeval.ledger.plain_text import shortened, without_tokens

#: The longest reason, in characters.
LONGEST = 300
#: The least of a message that is worth its place.
LEAST = 40
#: All refusals came from the journal, and would also come from it the next time.
_KEPT = "if the endpoint has changed, resume with --ask-again unhealthy"
#: Errors of a harness that are about a request or its answer.
_ABOUT_REQUESTS = re.compile(
    r"aiohttp|httpx|httpcore|urllib|requests\.|openai|litellm|anthropic|API request|RetryError|"
    r"HTTP ?Error|\bHTTP[ /]|\b[45]\d\d\b|[Ss]tatus|[Cc]onnect|[Tt]ime(?:d )?-?out|Session|"
    r"[Dd]isconnect|JSONDecodeError|Expecting value|ContentTypeError|zip\(\)|choices|"
    r"KeyError: '(?:message|content|text|logprobs|usage|index)'|NoneType|[Ee]ndpoint|"
    r"(?:APIError|BadRequest|RateLimit|Authentication|NotFound|InternalServer)\w*"
)
#: Requests of a harness that do not pass its gateway.
_OF_A_HUB = re.compile(r"huggingface\.co|\bhf_hub|HfHub|modelscope|\bNLTK\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cause:
    """The failure of requests.

    Attributes:
        text: a sentence with what to change, in at most 300 characters.
        brief: the same without message and place.
        said: what went wrong, and what the endpoint said of it, alone.
        is_whole: whether no request had a sound answer.
    """

    text: str
    brief: str
    said: str
    is_whole: bool

    def explains(self, own: str) -> bool:
        """Whether it is the cause of a harness's end with the error *own*."""
        return self.is_whole or not own or is_about_requests(own)

    def beside(self, how: str, own: str) -> str:
        """Return the reason of a harness that ended as *how* says, for the error *own*."""
        room = LONGEST - len(f"{how}; ; also {self.brief}")
        return f"{how}; {shortened(own, max(LEAST, room))}; also {self.brief}"


def is_about_requests(error: str) -> bool:
    """Whether the error of a harness is about a request or its answer."""
    return _ABOUT_REQUESTS.search(error) is not None and not _OF_A_HUB.search(error)


def cause_of(evaluation: Evaluation, directory: EvaluationDirectory) -> Cause | None:
    """Return what went wrong with the requests of an evaluation, or None."""
    found = [(seen, fault) for seen in faults_seen(directory) for fault in _counting(seen)]
    if not found:
        return None
    seen, fault = max(found, key=lambda pair: (*_rank(pair[1]), -pair[1].first))
    asked = Asked.of(evaluation, seen.model)
    words = words_of(fault, asked)
    who = f"model {seen.model}: " if seen.model != evaluation.model else ""
    facts = _facts(fault, seen)
    is_kept = fault.status in REFUSALS and 0 < fault.ended <= seen.refused_again
    kept = _KEPT if is_kept else ""
    hint = "".join(f"; {each}" for each in (words.hint, kept) if each)
    start, end = f"{who}{words.what}", f"{hint} ({facts})"
    room = LONGEST - len(start) - len(end) - len(": ")
    if room < LEAST:
        # The place is the configured URL, which the configuration has.
        end = f"{hint} ({_facts(fault, seen, place=False)})"
        room = LONGEST - len(start) - len(end) - len(": ")
    message = shortened(words.message, room).rstrip(". ") if room >= LEAST else ""
    text = f"{start}{': ' + message if message else ''}"
    text = f"{shortened(text, max(LEAST, LONGEST - len(end)))}{end}"
    brief = f"{who}{shortened(words.what, 90)} ({_count(fault, seen)})"
    is_whole = _asks_a_model(fault) and not seen.sound
    said = shortened(": ".join(filter(None, (words.what, words.message))), LONGEST // 2)
    whole, said = (without_tokens(each) for each in (text, said.rstrip(". ")))
    return Cause(shortened(whole, LONGEST), brief, said, is_whole)


def with_message(reason: str, evaluation: Evaluation, directory: EvaluationDirectory) -> str:
    """Return the *reason* of unhealthy answers with what the endpoint said of lost requests."""
    cause = cause_of(evaluation, directory)
    if cause is None:
        return reason
    return f"{shortened(reason, LONGEST - len(cause.said) - len('; '))}; {cause.said}"


def _counting(seen: Seen) -> list[Fault]:
    """Return the faults of a model that may be the cause."""
    found = list(_read(seen))
    # A harness that hung up received nothing of what its requests still met.
    hung_up = bool(seen.unanswered) and not any(fault.ended for fault in found)
    odd = (faults.MISTYPED, faults.NO_INDEX)
    return [fault for fault in found if fault.ended or fault.kind in odd or hung_up]


def _read(seen: Seen) -> Iterator[Fault]:
    for data in seen.faults:
        with suppress(*DAMAGE):
            yield Fault.of(data)


def _rank(fault: Fault) -> tuple[bool, bool, bool, int, int]:
    return (
        _asks_a_model(fault),
        fault.ended > 0,
        fault.kind == faults.MISTYPED,
        fault.ended,
        fault.tries if not fault.ended else 0,
    )


def _asks_a_model(fault: Fault) -> bool:
    method, _, url = fault.asked.partition(" ")
    return method == "POST" and not url.endswith(HELPERS)


def _count(fault: Fault, seen: Seen) -> str:
    if fault.ended and _asks_a_model(fault):
        return f"{fault.ended} of {seen.requests} requests"
    number = fault.ended or fault.tries
    return "once" if number == 1 else f"{number} times"


def _facts(fault: Fault, seen: Seen, *, place: bool = True) -> str:
    parts = [
        f"HTTP {fault.status}" if fault.status else "",
        _count(fault, seen),
        f"{fault.tries} tries" if fault.tries > fault.ended > 0 else "",
        fault.asked if place else "",
        _times(fault.first, fault.last),
    ]
    return ", ".join(filter(None, parts))


def _times(first: float, last: float) -> str:
    """Return since when, and until when, with the days if these differ.

    >>> _times(0, 0), _times(0, 59)
    ('at 00:00:00 UTC', '00:00:00 to 00:00:59 UTC')
    """
    start, end = (datetime.fromtimestamp(seconds, UTC) for seconds in (first, last))
    form = "%H:%M:%S" if start.date() == end.date() else "%Y-%m-%d %H:%M:%S"
    begin, until = start.strftime(form), end.strftime(form)
    return f"at {begin} UTC" if begin == until else f"{begin} to {until} UTC"
