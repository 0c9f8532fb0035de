"""Reads the choices of an answer: its texts, and why each of them ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from snakeval.ledger.endings import is_filtered, without_reasoning
from snakeval.ledger.forms import has_indexes

if TYPE_CHECKING:
    from snakeval.ledger.asked import Asked

_REASONING = (
    "reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking",
    "thinking_blocks",
)  # fmt: skip
#: The types of parts of a content that are no text of the answer.
_THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
#: The names of texts without an answer in :attr:`Choice.lack` and in the rules of health.
EMPTY, REASONING_ONLY = "empty", "reasoning_only"


class Choice:
    """One choice of an answer, or all its chunks in a stream."""

    def __init__(self) -> None:
        self.finish = ""
        self.acts = self.speaks = self.logprobs = self.reasoning = False
        self.refusal = self.is_odd = self.is_error = False
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """The whole text, with reasoning that is in tags."""
        return "".join(self._texts)

    @property
    def is_refused(self) -> bool:
        """Whether the model or a filter of the provider refuses."""
        return self.refusal or is_filtered(self.finish)

    def add(self, choice: Mapping[str, Any]) -> None:
        """Add a choice as the answer or one of its chunks has it."""
        message = choice.get("message") or choice.get("delta") or {}
        message = message if isinstance(message, dict) else {}
        content = message.get("content") or choice.get("text") or ""
        if isinstance(content, list):
            self.is_odd = True
            for part in content:
                self.add_part(part)
        else:
            self._texts.append(content if isinstance(content, str) else str(content))
        reason = choice.get("finish_reason") or choice.get("native_finish_reason")
        self.finish = str(reason or self.finish)
        self.acts |= bool(message.get("tool_calls") or message.get("function_call"))
        self.speaks |= bool(message.get("audio"))
        self.logprobs |= _has_any(choice.get("logprobs"))
        self.reasoning |= any(_has_any(message.get(name)) for name in _REASONING)
        self.reasoning |= _has_any(choice.get("reasoning"))
        self.refusal |= bool(message.get("refusal"))
        self.is_error |= bool(choice.get("error"))

    def add_part(self, part: Any) -> None:
        """Add a part of a content."""
        if not isinstance(part, dict):
            return
        kind, text = part.get("type"), part.get("text")
        self.refusal |= kind == "refusal"
        if kind in _THOUGHTS:
            self.reasoning |= any(_has_any(part.get(name)) for name in ("text", kind, "data"))
        elif text:
            self._texts.append(str(text))

    def lack(self, asked: Asked) -> str:
        """Return what the choice is without an answer to *asked*, or an empty text."""
        if self.is_refused or self.speaks or (self.acts and asked.offers_tools):
            return ""
        if self.logprobs and not asked.wants_text:
            return ""  # the likelihood of a text is an answer
        text, thinks = without_reasoning(self.text)
        if text.strip():
            return ""
        return REASONING_ONLY if thinks or self.reasoning else EMPTY


def _has_any(value: Any) -> bool:
    """Whether a member says something: ``{"content": []}`` and white space do not."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(_has_any(each) for name, each in value.items() if name != "type")
    return any(map(_has_any, value)) if isinstance(value, list) else value is not None


def choices_of(parts: list[dict[str, Any]]) -> Iterator[Choice]:
    """Yield the choices of an answer, also of OpenAI's Responses route."""
    found: dict[Any, Choice] = {}
    is_whole = len(parts) == 1
    for part in parts:
        choices = part.get("choices")
        is_odd = isinstance(choices, list) and not has_indexes(choices, is_whole=is_whole)
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                number = choice.get("index", place)
                number = number if isinstance(number, (int, str)) else place
                found.setdefault(number, Choice()).add(choice)
                found[number].is_odd |= is_odd
        response = part["response"] if isinstance(part.get("response"), dict) else part
        if response.get("object") == "response" and response.get("output") is not None:
            found["response"] = _response(response)
    yield from found.values()


def _response(data: Mapping[str, Any]) -> Choice:
    """Return the one choice of OpenAI's Responses route."""
    choice, details = Choice(), data.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    choice.finish = str(reason or data.get("status") or "")
    output = data.get("output")
    for item in output if isinstance(output, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        choice.reasoning |= kind == "reasoning"
        choice.acts |= kind not in ("reasoning", "message")
        content = item.get("content") if kind == "message" else None
        for part in content if isinstance(content, list) else ():
            choice.add_part(part)
    return choice
