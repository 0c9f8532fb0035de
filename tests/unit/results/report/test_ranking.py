"""The ranking: places, ties, and models that lack a benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.results import comparison
from snakeval.results.report.ranking import Ranking, rankings
from support.sampled import Sampled


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def ranked(run: Sampled) -> Ranking:
    plan = run.directory.plan()
    found = [comparison.measure(run.directory, item) for item in plan]
    (ranking,) = rankings(comparison.repeated(one for one in found if one), plan)
    return ranking


def test_a_model_that_lacks_a_benchmark_follows_without_a_place(tmp_path: Path) -> None:
    run = Sampled(
        tmp_path,
        {
            "partial": {"one": [1, 1]},
            "low": {"one": [1, 0], "two": [0, 0]},
            "high": {"one": [1, 1], "two": [1, 0]},
        },
    )
    found = ranked(run)
    assert [(row.model, row.place, row.lacks) for row in found.rows] == [
        ("high", 1, ()),
        ("low", 2, ()),
        ("partial", None, ("two",)),
    ]
    assert [row.model for row in found.complete] == ["high", "low"]
    assert found.rows[2].average.value == 1


def test_equal_averages_share_a_place(tmp_path: Path) -> None:
    scores = {"a": [1, 0], "b": [0, 1], "c": [0, 0]}
    found = ranked(Sampled(tmp_path, {name: {"one": each} for name, each in scores.items()}))
    assert [(row.model, row.place) for row in found.rows] == [("a", 1), ("b", 1), ("c", 3)]
