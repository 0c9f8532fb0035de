"""Which evaluations are compared, and what stands in for samples where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.evaluation.record import Metric
from snakeval.results import comparison
from snakeval.results.comparison import Measured, compare, measure, pairs
from snakeval.results.statistics.intervals import Interval
from snakeval.run.plan import Planned
from support.sampled import BENCHMARK, SAMPLES, Sampled, answers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def all_of(run: Sampled) -> list[Measured]:
    plan = [Planned(e.model, e.benchmark, e.fingerprint) for e in run.evaluations.values()]
    found = (measure(run.directory, item) for item in plan)
    return [each for each in found if each is not None]


def names(found: list[Measured]) -> list[tuple[str, str]]:
    return [(a.model, b.model) for a, b in pairs(found)]


def test_all_pairs_are_compared_and_of_many_models_each_with_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"poor": [0, 0, 1], "best": [1, 1, 1], "fair": [1, 0, 1]}
    found = all_of(Sampled(tmp_path, {model: {"b": each} for model, each in scores.items()}))
    assert names(found) == [("poor", "best"), ("poor", "fair"), ("best", "fair")]
    monkeypatch.setattr(comparison, "MAX_PAIRS", 2)
    assert names(found) == [("best", "poor"), ("best", "fair")]


def two(tmp_path: Path) -> list[Measured]:
    scores = {"m": {"b": answers(200, 0.9, 1)}, "n": {"b": answers(200, 0.6, 2)}}
    return all_of(Sampled(tmp_path, scores))


def test_without_samples_errors_are_compared_and_without_errors_there_is_no_verdict(
    tmp_path: Path,
) -> None:
    m, n = two(tmp_path)
    (paired,) = compare([(m, n)])
    (unpaired,) = compare([(replace(m, scores=None), n)])
    assert unpaired.difference.note == "unpaired"
    assert unpaired.difference.value == pytest.approx(paired.difference.value)
    assert unpaired.significant
    bare = replace(m, scores=None, interval=Interval(reason="x"))
    (nothing,) = compare([(bare, n)])
    assert nothing.difference.note == "none: m has no samples of acc"
    assert (nothing.corrected, nothing.significant) == (None, False)
    assert nothing.difference.value == pytest.approx(paired.difference.value)


def test_different_metrics_are_not_compared(tmp_path: Path) -> None:
    m, n = two(tmp_path)
    (found,) = compare([(m, replace(n, metric=Metric("b", "f1", 0.5)))])
    assert (found.difference.value, found.difference.note) == (None, "none: acc and f1 differ")


def test_unreadable_samples_are_reported_and_cost_no_score(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": [1, 0]}})
    samples = run["m/b"].artifacts / "samples.jsonl"
    samples.write_bytes(b"{" * samples.stat().st_size)
    (found,) = all_of(run)
    assert found.metric.value == 0.5
    assert found.problem.startswith("samples.jsonl does not parse as jsonl")


def test_a_group_without_a_sample_is_reported(tmp_path: Path) -> None:
    metrics = BENCHMARK["metrics"] | {"samples": SAMPLES | {"group": "text"}}
    (one,) = all_of(Sampled(tmp_path, {"m": {"b": [0, 1]}}, metrics=metrics))
    assert one.problem == "no sample has a value at 'text'; correct samples.group"


def test_a_point_of_equal_weights_is_measured_under_its_own_name(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"m": {"b": answers(20, 0.9, 1)}})
    (evaluation,) = run.evaluations.values()
    point = Planned("twin", "b", evaluation.fingerprint, same_as="m")
    found = measure(run.directory, point)
    assert found is not None
    assert found.model == "twin"
    assert found.metric == all_of(run)[0].metric
