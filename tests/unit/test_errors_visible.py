"""The one function that makes texts from outside visible."""

from __future__ import annotations

import pytest

from snakeval.errors import ConfigError, EvaluationError, Problem
from snakeval.ledger.plain_text import visible
from snakeval.logs import last_error, tail_lines

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202ertl\u2066\ud800\x00\x9b31m\u2028"


@pytest.mark.parametrize("text", ["", "plain", "größe 模型 𝕏", "a\nb\tc", "± 0.5 … “x”"])
def test_a_usual_text_stays_unchanged(text: str) -> None:
    assert visible(text) == text


def test_each_hidden_character_shows_its_number() -> None:
    assert visible("\x1b[31m\u202e\ud800") == "‹U+001B›[31m‹U+202E›‹U+D800›"
    assert visible(HOSTILE).isprintable()
    assert visible(visible(HOSTILE)) == visible(HOSTILE)
    assert visible("a\rb\r\n") == "a‹U+000D›b\n"


def test_every_error_is_visible() -> None:
    for error in (
        str(ConfigError(HOSTILE, where=HOSTILE, hint=HOSTILE)),
        str(ConfigError(HOSTILE)),
        str(EvaluationError(HOSTILE, where=HOSTILE)),
        EvaluationError(HOSTILE).problem,
        str(Problem(HOSTILE, HOSTILE, HOSTILE)),
    ):
        assert error.replace("\n", "").isprintable(), ascii(error)


def test_lines_of_logs_are_visible(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.mktemp("log") / "log"
    log.write_bytes(
        b"one\n\x1b[31mValueError: \x1b]0;owned\x07 \xe2\x80\xaertl \xed\xa0\x80 \xff\x1b[0m\n"
    )
    assert all(line.isprintable() for line in tail_lines(log))
    assert last_error(log).startswith("ValueError: ‹U+001B›]0;owned‹U+0007› ‹U+202E›rtl")
