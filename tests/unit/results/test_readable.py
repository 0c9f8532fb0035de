"""The table that people read, on terminals of any width."""

from __future__ import annotations

from typing import Any

import pytest

from snakeval.results.readable import cells, fitted, to_markdown

DONE: dict[str, Any] = {
    "model": "one", "benchmark": "b", "metric": "acc", "filter": "a|b", "value": 0.15,
    "stderr": 0.02, "ci_low": 0.1, "ci_high": 0.2, "n": 40, "status": "done", "reason": None,
}  # fmt: skip
FAILED: dict[str, Any] = dict.fromkeys(DONE) | {
    "model": "two", "benchmark": "b", "status": "failed", "reason": "out | of\ncoffee",
}  # fmt: skip


def test_a_score_has_its_error_its_interval_and_its_number_of_samples() -> None:
    assert list(cells(DONE).values()) == [
        "one", "b", "acc (a|b)", "0.1500 ± 0.0200", "0.1000 to 0.2000", "40", "", "done",
    ]  # fmt: skip


def test_a_score_of_which_some_samples_have_none_says_how_many_have_one() -> None:
    assert cells(DONE | {"graded": 57, "ungraded": 3})["n"] == "57 of 60 graded"


def test_a_failure_has_its_reason_on_one_line() -> None:
    assert list(cells(FAILED).values()) == [*("two", "b", *[""] * 5), "failed: out | of coffee"]
    assert cells(FAILED, reasons=False)["status"] == "failed"


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    assert "acc (a\\|b)" in to_markdown([DONE])
    assert len(to_markdown([DONE, FAILED]).splitlines()) == 4


@pytest.mark.parametrize(
    ("width", "head", "last"),
    [
        (200, "| 95 %", "| failed: out \\| of coffee |"),
        (108, "| 95 %", "| failed: out \\| of coffee |"),
        (107, "| 95 %", "| failed   |"),
        (91, "| n ", "| failed   |"),
        (1, "| n ", "| failed   |"),
    ],
)
def test_a_narrow_terminal_loses_reasons_first_and_intervals_next(
    width: int, head: str, last: str
) -> None:
    lines = fitted([DONE, FAILED], width).splitlines()
    assert head in lines[0]
    assert lines[-1].endswith(last)
    assert ("95 %" in lines[0]) == (head == "| 95 %")


def test_the_health_is_a_column_that_only_a_bad_answer_keeps_in_a_narrow_terminal() -> None:
    well = [DONE | {"health": "ok"}, FAILED]
    assert "| health" in to_markdown(well)
    assert "| health" not in to_markdown([DONE, FAILED]), "tables of earlier versions have none"
    assert "| health" not in fitted(well, 1)
    assert "| 12 % cut " in fitted([DONE | {"health": "12 % cut"}, FAILED], 1)
