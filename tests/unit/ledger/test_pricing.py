"""Tests of what tokens cost, and of what counts if an endpoint reports none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snakeval.ledger.pricing import UNSTATED, money, most_tokens

PRICES = {"input": 2.0, "output": 8.0, "cached": 0.5}


@pytest.mark.parametrize(
    ("tokens", "prices", "cost"),
    [
        ({"prompt": 1_000_000, "completion": 500_000}, PRICES, 6.0),
        ({"prompt": 1_000_000, "completion": 0, "cached": 600_000}, PRICES, 1.1),
        ({"prompt": 1_000_000, "cached": 600_000}, {"input": 2.0, "output": 8.0}, 2.0),
        ({"completion": 250_000}, {"output": 8.0}, 2.0),
        ({"prompt": 10, "cached": 90}, {"input": 1_000_000.0, "cached": 0.0}, 0.0),
        ({}, PRICES, None),
        ({"prompt": None, "completion": None}, PRICES, None),
        ({"prompt": 10}, {"hour": 2.0}, None),
    ],
)
def test_money_is_the_price_of_a_million_tokens(
    tokens: dict[str, int | None], prices: dict[str, float], cost: float | None
) -> None:
    assert money(tokens, prices) == (cost if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("request_body", "tokens"),
    [
        ({"max_tokens": 16}, 16),
        ({"max_tokens": 16, "max_completion_tokens": 7}, 7),
        ({"max_output_tokens": 9, "n": 3}, 27),
        ({"max_tokens": 5, "prompt": ["a", "b"]}, 10),
        ({"max_tokens": 5, "prompt": [1, 2, 3]}, 5),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": None}, UNSTATED),
        ({"n": 2}, 2 * UNSTATED),
        ([], UNSTATED),
    ],
)
def test_an_answer_without_a_count_has_as_many_tokens_as_allowed(
    request_body: Any, tokens: int
) -> None:
    assert most_tokens(json.dumps(request_body).encode()) == tokens


def test_a_request_that_is_no_json_states_nothing() -> None:
    assert most_tokens(b"\x00{") == UNSTATED
