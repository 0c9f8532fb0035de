"""Computes the cost of requests from token counts, also if an endpoint reports none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakeval.ledger import answers

#: Tokens of an answer without a count, if its request has no ``max_tokens``.
UNSTATED = 4096
_MILLION = 1_000_000
#: The members in which the routes of OpenAI's API state the most tokens of an answer.
_MOST = ("max_completion_tokens", "max_tokens", "max_output_tokens")
#: How many answers a request asks for.
_CHOICES = ("n", "best_of")


def money(tokens: Mapping[str, float | None], prices: Mapping[str, Any]) -> float | None:
    """Return the price of tokens, or None if the counts or the prices do not say it.

    *tokens* has ``prompt``, ``completion`` and ``cached``, which is a part of the prompt. *prices*
    are for a million tokens: ``input``, ``output`` and ``cached``, which is ``input`` if absent.
    """
    prompt, completion = tokens.get("prompt"), tokens.get("completion")
    cached = min(tokens.get("cached") or 0, prompt or 0)
    per_input, per_output = prices.get("input"), prices.get("output")
    if per_input is None and per_output is None:
        return None
    if prompt is None and completion is None:
        return None
    per_cached = prices.get("cached")
    per_cached = per_input if per_cached is None else per_cached
    parts = (
        ((prompt or 0) - cached, per_input),
        (cached, per_cached),
        (completion or 0, per_output),
    )
    return sum(count * (price or 0.0) for count, price in parts) / _MILLION


def most_tokens(body: bytes) -> int:
    """Return how many tokens count for a request whose answer reports none.

    They are the ``max_tokens`` of the request, or :data:`UNSTATED`, for each answer that it asks.
    """
    data = answers.parsed(body)
    if not isinstance(data, dict):
        return UNSTATED
    stated = (_number(data.get(name)) for name in _MOST)
    most = next((number for number in stated if number is not None), UNSTATED)
    choices = max([1, *(number for name in _CHOICES if (number := _number(data.get(name))))])
    return most * choices * _prompts(data.get("prompt"))


def _prompts(prompt: Any) -> int:
    """Return how many prompts a request has; a list of numbers is one, as tokens."""
    is_list = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
    return len(prompt) if is_list else 1


def _number(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if is_number else None
