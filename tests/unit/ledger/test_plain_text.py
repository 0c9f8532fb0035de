"""Texts that people read are short; `tests/unit/test_errors.py` tests characters and tokens."""

from __future__ import annotations

import pytest

from snakeval.ledger.plain_text import listed, one_line, shortened, visible, without_tokens


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


def test_a_line_of_a_server_is_short_visible_and_without_tokens() -> None:
    assert one_line("a\n\x1b]0;x\x07 \ud800") == "a ‹U+001B›]0;x‹U+0007› ‹U+D800›"
    assert one_line("of hf_AbCdEf123456AbCdEf") == "of ***"
    assert len(one_line("x" * 1_000_000)) == 300


def test_names_of_a_server_are_a_short_list() -> None:
    assert listed([]) == ""
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["\u202ea", "b\rc", "d"], 2) == "‹U+202E›a, b c and 1 more"
    assert len(listed(["x" * 10_000] * 10_000)) < 600


@pytest.mark.parametrize(
    "name",
    ["key", "api-key", "apiKey", "subscription-key", "access_token", "sig", "X-Amz-Signature",
     "code", "client_secret", "pwd"],
)  # fmt: skip
def test_a_key_in_the_query_of_a_url_is_replaced(name: str) -> None:
    for query in (f"?{name}=", f"?a=1&{name}="):
        text = f"GET http://host/v1{query}S3cr3t%2B&b=2: 404"
        assert without_tokens(text) == f"GET http://host/v1{query}***&b=2: 404"


@pytest.mark.parametrize(
    "query",
    ["api-version=1", "max_tokens=5", "keys=a", "barcode=7", "key=", "key=$KEY", "key={{ key }}",
     "key=<your key>", "key=%s"],
)  # fmt: skip
def test_other_queries_and_templates_stay(query: str) -> None:
    assert without_tokens(f"http://host/v1?{query}") == f"http://host/v1?{query}"
