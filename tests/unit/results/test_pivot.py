"""The scores of a run at a glance."""

from __future__ import annotations

from typing import Any

import pytest

from snakeval.results.pivot import pivot


def row(model: str, benchmark: str, value: float | None, **more: Any) -> dict[str, Any]:
    found = {"model": model, "benchmark": benchmark, "metric": "acc", "task": benchmark}
    return {**found, "value": value, "status": "done", "higher_is_better": True, **more}


ROWS = [
    row("one", "x", 0.5, stderr=0.05),
    row("one", "x", 0.9, metric="f1"),
    row("one", "y", 0.25),
    row("two", "x", 0.75),
    row("two", "y", None, metric=None, status="failed"),
]


def test_models_are_rows_and_benchmarks_columns_of_their_first_metric() -> None:
    assert pivot(ROWS).splitlines() == [
        "     x acc            y acc",
        "one  0.5000 ± 0.0500  0.2500",
        "two  0.7500           failed",
    ]


@pytest.mark.parametrize(("higher", "best"), [(True, "0.7500"), (False, "0.5000"), (None, "")])
def test_the_best_of_several_scores_is_bold(higher: bool | None, best: str) -> None:
    rows = [each | {"higher_is_better": higher} for each in ROWS]
    marked = [part.split("\x1b[0m")[0] for part in pivot(rows, bold=True).split("\x1b[1m")[1:]]
    assert [part.split()[0] for part in marked] == [best] * bool(best)


def test_equal_scores_have_no_best() -> None:
    rows = [each | {"value": 0.5} for each in ROWS if each["value"]]
    assert "\x1b" not in pivot(rows, bold=True)


def test_what_shows_nothing_more_or_does_not_fit_is_no_table() -> None:
    assert pivot(ROWS[:3]) == ""
    assert pivot([each for each in ROWS if each["benchmark"] == "x"]) == ""
    assert pivot([]) == ""
    assert pivot(ROWS, 28)
    assert pivot(ROWS, 27) == ""
