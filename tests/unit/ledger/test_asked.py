"""A request says what its answer has to have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snakeval.ledger.asked import Asked


@pytest.mark.parametrize(
    ("members", "most", "wants_text"),
    [
        ({}, None, True),
        ({"max_tokens": 8}, 8, True),
        ({"max_tokens": 8, "max_completion_tokens": 9}, 9, True),
        ({"max_tokens": 8, "max_completion_tokens": None}, 8, True),
        ({"max_output_tokens": 7}, 7, True),
        ({"max_tokens": 1}, 1, False),
        ({"max_tokens": "8"}, None, True),
        ({"max_tokens": True}, None, True),
        ({"max_tokens": 0, "echo": True}, 0, False),
    ],
)
def test_its_limit_of_tokens(members: Any, most: float | None, wants_text: bool) -> None:
    asked = Asked(json.dumps(members).encode())
    assert (asked.most_tokens, asked.wants_text) == (most, wants_text)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 100_000])
def test_a_body_that_is_no_object_wants_nothing_special(body: bytes) -> None:
    asked = Asked(body)
    assert asked.data == {}
    assert (asked.samples, asked.wants_logprobs, asked.offers_tools) == (1, False, False)
    assert not asked.is_sampled
