"""Texts that people read are short; `tests/unit/test_errors.py` tests characters and tokens."""

from __future__ import annotations

import pytest

from snakeval.ledger.plain_text import shortened, visible, without_tokens


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("One thing.", "One thing."),
        ("One thing is bad. Another is good.", "One thing is bad."),
        ("word " * 10, "word word word word…"),
        ("One, two, three, four, five, six", "One, two, three…"),
        ("x" * 30, f"{'x' * 22}…"),
    ],
)
def test_a_text_is_cut_after_a_sentence_or_a_word(text: str, short: str) -> None:
    assert shortened(text, 23) == short


def test_a_text_is_cut_to_any_length() -> None:
    assert shortened("word", 0) == "…"


def test_hidden_characters_and_tokens_are_replaced() -> None:
    assert visible("a\u202eb") == "a‹U+202E›b"
    assert without_tokens("key hf_AbCdEf123456AbCdEf") == "key ***"
    assert without_tokens("http://me:word@host") == "http://me:***@host"
