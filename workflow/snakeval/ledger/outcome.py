"""The result of asking an endpoint, for a harness and for the journal."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from snakeval.ledger import answers
from snakeval.ledger.answers import Facts
from snakeval.ledger.client import Call
from snakeval.ledger.http import Headers
from snakeval.ledger.records import Answer
from snakeval.ledger.server import Request
from snakeval.ledger.slots import stored_request


@dataclass
class Outcome:
    """An answer as the harness receives it, and how it came about.

    Attributes:
        verdict: of ``answers.judge``; only a sound answer is kept.
        first, whole: seconds until the first byte and until the end of the last try.
        cut: the answer broke after a part of it was passed on.
        sent: the endpoint received the request, as far as the gateway knows.
        spent: what it cost of the run's budget, if there is one.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes
    verdict: str = answers.PASSED
    facts: Facts = field(default_factory=Facts)
    first: float = 0.0
    whole: float = 0.0
    tries: int = 0
    waits: dict[str, float] = field(default_factory=dict)
    cut: bool = False
    retry_after: float = 0.0
    sent: bool = False
    spent: dict[str, float] = field(default_factory=dict)


class Passing:
    """Receives the pieces of a stream as they come. *started* means that a piece was passed on."""

    started = False

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Pass on the head."""

    def piece(self, piece: bytes) -> None:
        """Pass on a piece."""


def problem(status: int, text: str, kind: str = "gateway") -> Outcome:
    """Return an answer of the gateway itself, in the form of OpenAI's errors."""
    body = json.dumps({"error": {"message": text, "type": f"snakeval_{kind}"}}).encode()
    reason = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}.get(status, "Unavailable")
    return Outcome(status, reason, [("Content-Type", "application/json")], body)


def hide(outcome: Outcome, key: str) -> None:
    """Blot *key*, if there is one, out of an answer that is not sound."""
    if not key or outcome.verdict == answers.SOUND:
        return
    text = key.encode()
    if answers.coding(outcome.headers):
        plain = answers.decoded(outcome.headers, outcome.body)
        if plain is None or text not in plain:
            return
        outcome.body = plain
        own = {"content-encoding", "content-length"}
        outcome.headers = [pair for pair in outcome.headers if pair[0].lower() not in own]
    # The length is the same, since a header has it, and pieces of a stream have been passed on.
    outcome.body = outcome.body.replace(text, b"*" * len(text))


def meta_of(outcome: Outcome) -> dict[str, Any]:
    """Return what the journal stores of an answer besides its body."""
    # A cookie of the endpoint is a secret of a session, and nothing that a replay needs.
    headers = [pair for pair in outcome.headers if pair[0].lower() != "set-cookie"]
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "headers": headers,
        "first": round(outcome.first, 4),
        "whole": round(outcome.whole, 4),
        "tries": outcome.tries,
        "waits": {cause: round(seconds, 3) for cause, seconds in outcome.waits.items()},
        **({"spent": outcome.spent} if outcome.spent else {}),
        **outcome.facts.data(),
    }


def told(outcome: Outcome) -> Outcome:
    """Return what the harness receives after the last try.

    Harnesses read a 200 with an ``error`` as an empty answer and score it, so it becomes a 502 with
    the same body. One that they cannot read becomes a 502 that says why.
    """
    if outcome.verdict == answers.MALFORMED:
        own = problem(502, f"the endpoint's answer cannot be read: {outcome.facts.defect}")
        outcome.headers, outcome.body = own.headers, own.body
        outcome.status, outcome.reason = own.status, own.reason
    if outcome.verdict == answers.ERROR:
        outcome.status, outcome.reason = 502, "Bad Gateway"
    return outcome


def answer_of(request: Request, outcome: Outcome, arrived: float, call: Call) -> Answer:
    """Return what the journal stores of the answer to a request that *arrived* then."""
    body, digest = stored_request(request.body)
    meta = {
        "method": request.method,
        "path": request.target,
        "time": round(arrived, 3),
        **meta_of(outcome),
    }
    if digest:
        meta["request_sha256"] = digest
    if call.body != request.body:
        meta["sent"] = call.changes
    return Answer(meta, body, outcome.body)


def content_of(answer: Answer) -> tuple[Headers, bytes]:
    """Return headers and body of an answer of the journal."""
    return [(name, text) for name, text in answer.meta["headers"]], answer.response


def outcome_of(answer: Answer) -> Outcome:
    """Return an answer of the journal as the endpoint gave it."""
    return Outcome(int(answer.meta["status"]), str(answer.meta["reason"]), *content_of(answer))
