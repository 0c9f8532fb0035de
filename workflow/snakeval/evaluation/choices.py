"""Reads the choices of an answer: its texts, and why each of them ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.ledger import answers
from snakeval.ledger.events import Events
from snakeval.ledger.records import Answer

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")


class Choice:
    """One choice of an answer, or all its chunks in a stream."""

    def __init__(self) -> None:
        self.text = self.finish = ""
        self.acts = self.logprobs = self.reasoning = self.refusal = self.is_odd = False

    def add(self, choice: Mapping[str, Any]) -> None:
        """Add a choice as the answer or one of its chunks has it."""
        message = choice.get("message") or choice.get("delta") or {}
        message = message if isinstance(message, dict) else {}
        content = message.get("content") or choice.get("text") or ""
        if isinstance(content, list):
            self.is_odd = True
            content = "".join(str(p.get("text") or "") for p in content if isinstance(p, dict))
        self.text += content if isinstance(content, str) else str(content)
        self.finish = str(choice.get("finish_reason") or self.finish)
        self.acts |= bool(message.get("tool_calls") or message.get("function_call"))
        self.acts |= bool(message.get("audio"))
        self.logprobs |= bool(choice.get("logprobs"))
        self.reasoning |= any(message.get(name) for name in _REASONING)
        self.refusal |= bool(message.get("refusal"))
        self.is_odd |= "index" not in choice


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


def choices_of(parts: list[dict[str, Any]]) -> Iterator[Choice]:
    """Yield the choices of an answer, also of OpenAI's Responses route."""
    found: dict[Any, Choice] = {}
    for part in parts:
        choices = part.get("choices")
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                found.setdefault(choice.get("index", place), Choice()).add(choice)
        response = part["response"] if isinstance(part.get("response"), dict) else part
        if response.get("object") == "response" and response.get("output") is not None:
            found["response"] = _response(response)
    yield from found.values()


def _response(data: Mapping[str, Any]) -> Choice:
    """Return the one choice of OpenAI's Responses route."""
    choice = Choice()
    choice.finish = "length" if data.get("status") == "incomplete" else "stop"
    output = data.get("output")
    for item in output if isinstance(output, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        choice.reasoning |= kind == "reasoning"
        choice.acts |= kind not in ("reasoning", "message")
        for part in (item.get("content") or ()) if kind == "message" else ():
            choice.text += str(part.get("text") or "") if isinstance(part, dict) else ""
            choice.refusal |= isinstance(part, dict) and part.get("type") == "refusal"
    return choice


def named(parts: list[dict[str, Any]], member: str) -> str:
    """Return the first text that the parts of an answer have as *member*, or nothing."""
    texts = (part.get(member) for part in parts)
    return next((text[:200] for text in texts if isinstance(text, str) and text), "")


def name_in(answer: Answer) -> str:
    """Return the ``model`` that an answer names, or nothing."""
    return named(parts_of(answer), "model")
