"""The tables of scores: order, places, and how far each model is behind the best one."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.results.report import boards
from snakeval.results.report.content import Facts
from support.sampled import Sampled, answers, facts_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    low, high = answers(100, 0.3, 1), answers(100, 0.9, 2)
    scores = {"low": {"one": low}, "high": {"one": high, "two": low}, "also": {"one": high}}
    run = Sampled(tmp_path, scores)
    return facts_of(run)


def test_a_benchmark_has_places_and_gaps_to_the_best(facts: Facts) -> None:
    measured = [cell.measured for cell in facts.cells.values() if cell.measured]
    compared = {(c.a.benchmark, c.a.model, c.b.model): c for c in facts.compared}
    axes = boards.shared_axes(measured, facts.overall)
    ones = [one for one in measured if one.benchmark == "one"]
    board = boards.of_benchmark("one", ones, compared, axes)
    assert board is not None
    assert [(line.row.name, line.place) for line in board.lines] == [
        ("high", "1"),
        ("also", "1"),
        ("low", "3"),
    ]
    best, also, low = board.lines
    assert (best.gap, also.gap) == (None, 0)
    assert low.gap == pytest.approx(low.row.value - best.row.value)
    assert low.significant
    assert board.plots.shared == axes["acc"]


def test_a_benchmark_without_a_score_has_no_table() -> None:
    assert boards.of_benchmark("one", [], {}, {}) is None


def test_a_ranking_marks_models_that_lack_a_benchmark(facts: Facts) -> None:
    (board,) = boards.of_rankings(facts.overall, {})
    assert [(line.row.name, line.place, line.mark) for line in board.lines] == [
        ("high", "1", ""),
        ("also", "", "without two"),
        ("low", "", "without two"),
    ]
    assert not board.has_gaps
