"""The answer on top of the report: who is best, and whether that is significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from snakeval.results import comparison
from snakeval.results.comparison import Measured
from snakeval.results.report.answer import Overall, Winner, overall, winners
from snakeval.results.report.ranking import rankings
from support.sampled import Sampled, answers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


Scores = Mapping[str, Mapping[str, Sequence[int]]]


def measured(directory: Path, scores: Scores, **options: int) -> tuple[Sampled, list[Measured]]:
    directory.mkdir(exist_ok=True)
    run = Sampled(directory, scores, **options)
    found = [comparison.measure(run.directory, item) for item in run.directory.plan()]
    return run, [one for one in found if one]


def best(directory: Path, scores: Scores, **options: int) -> Overall:
    run, found = measured(directory, scores, **options)
    ranked = rankings(comparison.repeated(found), run.directory.plan())
    (each,) = overall(ranked)
    return each


def won(directory: Path, scores: Scores) -> list[Winner]:
    _, found = measured(directory, scores)
    return list(winners(found, comparison.compare(comparison.pairs(found))))


def test_a_clear_lead_is_significant_and_a_small_one_is_not(tmp_path: Path) -> None:
    scores = {
        "high": {"one": answers(200, 0.9, 1), "two": answers(200, 0.9, 2)},
        "near": {"one": answers(200, 0.88, 3), "two": answers(200, 0.87, 4)},
        "low": {"one": answers(200, 0.3, 5), "two": answers(200, 0.3, 6)},
    }
    found = best(tmp_path, scores)
    assert [row.model for row in found.best] == ["high"]
    assert [lead.model for lead in found.ahead] == ["low"]
    (close,) = found.close
    mean = {m: sum(sum(found) for found in each.values()) / 400 for m, each in scores.items()}
    assert close.model == "near"
    assert close.gain.value == pytest.approx(mean["high"] - mean["near"])
    assert close.gain.low is not None
    assert close.gain.low < 0 < mean["high"] - mean["near"]


def test_more_models_make_the_interval_of_a_lead_wider(tmp_path: Path) -> None:
    two = {"a": {"b": answers(200, 0.8, 1)}, "c": {"b": answers(200, 0.5, 2)}}
    more = {f"m{n}": {"b": answers(200, 0.2, n)} for n in range(3, 8)}
    (few,) = best(tmp_path / "few", two).leads
    many = next(lead for lead in best(tmp_path / "many", two | more).leads if lead.model == "c")
    assert few.gain.value == many.gain.value
    assert few.gain.low is not None
    assert many.gain.low is not None
    assert many.gain.low < few.gain.low


def test_equal_models_are_best_together_without_a_lead(tmp_path: Path) -> None:
    found = best(tmp_path, {"a": {"one": [1, 0]}, "b": {"one": [0, 1]}, "c": {"one": [0, 0]}})
    assert [row.model for row in found.best] == ["a", "b"]
    assert found.leads == ()


def test_no_model_is_best_if_none_has_all_benchmarks(tmp_path: Path) -> None:
    assert best(tmp_path, {"a": {"one": [1]}, "b": {"two": [1]}}).best == ()


def test_repeats_count_once_with_the_mean_of_their_differences(tmp_path: Path) -> None:
    def runs(right: float, seed: int) -> dict[str, list[int]]:
        names = ("b", "b-r2")
        return {name: answers(100, right, seed + n) for n, name in enumerate(names)}

    scores = {"high": runs(0.9, 1), "low": runs(0.4, 5)}
    (lead,) = best(tmp_path, scores, repeats=2).leads
    totals = [sum(sum(found) for found in each.values()) for each in scores.values()]
    assert lead.gain.value == pytest.approx((totals[0] - totals[1]) / 200)
    assert lead.significant


def test_each_benchmark_has_its_best_model_and_the_lead_over_the_next(tmp_path: Path) -> None:
    high, low = answers(100, 0.9, 1), answers(100, 0.3, 2)
    one, two = won(tmp_path, {"a": {"one": low, "two": high}, "b": {"one": high, "two": high}})
    assert ([each.model for each in one.best], one.next) == (["b"], "a")
    assert one.lead is not None
    assert one.lead.significant
    assert one.gain == pytest.approx((sum(high) - sum(low)) / 100)
    assert [each.model for each in two.best] == ["a", "b"]
    assert two.gain is None
