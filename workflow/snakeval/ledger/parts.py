"""Reads the JSON objects of a stored answer."""

from __future__ import annotations

from typing import Any

from snakeval.ledger import answers
from snakeval.ledger.events import Events
from snakeval.ledger.records import Answer


def parts_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the JSON objects of an answer: one, or the chunks of a stream."""
    headers = [(str(name), str(text)) for name, text in answer.meta.get("headers") or ()]
    plain = answers.decoded(headers, answer.response)
    if plain is None:
        return []
    if answers.media_type(headers) == "text/event-stream":
        events = Events()
        events.feed(plain)
        events.close()
        return events.chunks
    data = answers.parsed(plain)
    return [data] if isinstance(data, dict) else []


def named(parts: list[dict[str, Any]], member: str) -> str:
    """Return the first text that the parts of an answer have as *member*, or nothing."""
    texts = (part.get(member) for part in parts)
    return next((text[:200] for text in texts if isinstance(text, str) and text), "")


def name_in(answer: Answer) -> str:
    """Return the ``model`` that an answer names, or nothing."""
    return named(parts_of(answer), "model")
