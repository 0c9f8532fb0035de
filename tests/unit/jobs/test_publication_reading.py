"""Metrics are read from artifacts again, without a harness, if the configuration changes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs.publication import reuse
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config
from support.made import begin, completion


def evaluation(tmp_path: Path, **values: str) -> Evaluation:
    benchmark = COMMAND | {"metrics": {"file": "f", "values": values}}
    (made,) = expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}))
    return made


@pytest.fixture
def finished(tmp_path: Path) -> EvaluationDirectory:
    """A finished evaluation whose results have two metrics, of which the record has one."""
    made = evaluation(tmp_path, v="v")
    directory = EvaluationDirectory(tmp_path / "run/m/b")
    begin(directory, made.fingerprint)
    (directory.artifacts / "f").write_text('{"v": 0.25, "w": 0.5}')
    directory.complete(completion(made, directory))
    return directory


def test_a_completion_with_the_same_metrics_is_published_unchanged(
    tmp_path: Path, finished: EvaluationDirectory
) -> None:
    before = finished.published.read_bytes()
    finished.published.unlink()
    assert reuse(evaluation(tmp_path, v="v"), finished) is not None
    assert finished.published.read_bytes() == before


def test_one_more_metric_is_read_from_the_artifacts(
    tmp_path: Path, finished: EvaluationDirectory
) -> None:
    made = evaluation(tmp_path, v="v", w="w")
    before = json.loads(finished.published.read_text())
    again = reuse(made, finished)
    assert again is not None
    assert [(m.metric, m.value) for m in again.metrics] == [("v", 0.25), ("w", 0.5)]
    record = json.loads(finished.published.read_text())
    changed = {key for key in record if record[key] != before[key]}
    assert changed == {"identity", "metrics", "sha256"}  # the seal is of all other values
    assert finished.completion(made.fingerprint) == again
    assert finished.read_attempt().number == 1


def test_an_artifact_that_changed_is_not_read_again(
    tmp_path: Path, finished: EvaluationDirectory
) -> None:
    (finished.artifacts / "f").write_text('{"v": 0.75, "w": 0.5}')
    with pytest.raises(EvaluationError, match="artifacts/f has changed since the harness wrote it"):
        reuse(evaluation(tmp_path, v="v", w="w"), finished)


def test_a_metric_that_is_not_there_fails_and_the_earlier_metrics_come_back(
    tmp_path: Path, finished: EvaluationDirectory
) -> None:
    before = finished.published.read_bytes()
    made = evaluation(tmp_path, x="x")
    with pytest.raises(EvaluationError, match=r"has nothing at 'x'.*correct `metrics`"):
        reuse(made, finished)
    assert finished.why_incomplete(made.fingerprint), "another metric would hide the failure"
    assert reuse(evaluation(tmp_path, v="v"), finished) is not None
    assert finished.published.read_bytes() == before
