"""A series as one package: the scores of its checkpoints, with their steps."""

from __future__ import annotations

from typing import Any

from snakeval.exporters import Options
from snakeval.exporters.package import Package, packages
from snakeval.exporters.series import steps
from snakeval.results.curves.points import Place
from support.sampled import Sampled


def made(run: Sampled, **options: Any) -> dict[str, Package]:
    found = packages(run.directory, "named", Options(per="evaluation", **options))
    return {each.name: each for each in found}


def test_a_series_is_one_package_and_other_models_have_their_own(training: Sampled) -> None:
    found = made(training)
    assert set(found) == {"base/b", "run7"}
    series = found["run7"]
    assert [(step.number, step.scores["b/b/acc"]) for step in series.steps] == [
        (200, 0.5), (1000, 1.0),
    ]  # fmt: skip
    assert (series.done, series.failed, series.missing) == (2, 0, 1)
    assert series.scores["b/b/acc"] == 1.0
    assert series.facts == {"series": "run7", "axis": "step"}
    assert len(series.frame) == 3


def test_with_per_run_a_series_is_a_part_of_the_run(training: Sampled) -> None:
    (whole,) = packages(training.directory, "named", Options())
    scores = {name: v for name, v in whole.scores.items() if name.startswith("run7_200/b/b/acc_")}
    assert 0.5 in scores.values(), "not all destinations take @ in a name"
    assert whole.steps == ()


def test_metrics_and_files_are_those_of_the_options(training: Sampled) -> None:
    assert made(training, metrics=("f1",))["run7"].steps == ()
    files = made(training, artifacts=("samples.jsonl",))["run7"].artifacts
    assert [file.name for file in files] == [
        "run7@1000/b/artifacts/samples.jsonl", "run7@200/b/artifacts/samples.jsonl",
    ]  # fmt: skip


def numbers(*names: str) -> list[int]:
    rows = [
        {"model": name, "benchmark": "b", "task": "b", "metric": "acc", "filter": "",
         "value": 0.5, "status": "done", "finished": "2026-01-01T00:00:00Z"}
        for name in names
    ]  # fmt: skip
    return [step.number for step in steps(rows, {name: Place("r", name) for name in names})]


def test_steps_that_are_no_whole_numbers_are_counted() -> None:
    assert numbers("1e3", "0200") == [200, 1000]
    assert numbers("0.5", "1", "1.5") == [0, 1, 2]
    assert numbers("final", "100") == [0, 1]
    assert numbers("-1", "5") == [0, 1]
    assert numbers("100", "0100") == [0, 1], "one step would hide the other"
    assert numbers("9223372036854775808") == [0]
