"""The health of an evaluation on Lepton comes from what the gateway of its job sent back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.verdict import Verdict, judge_evaluation
from snakeval.executors.lepton import jobs
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config
from support.journals import Kept, keep, said

CUT = [Kept(number, said("ye", "length" if number < 3 else "stop")) for number in range(10)]


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    asks = {"image": "i", "command": "ask {{ url }} > {{ results }}/f"}
    metrics = {"file": "f", "values": {"v": "v"}}
    benchmark = COMMAND | asks | {"metrics": metrics}
    settings = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    return expand(config(tmp_path, settings))[0]


@pytest.fixture
def directory(tmp_path: Path, evaluation: Evaluation) -> EvaluationDirectory:
    """An evaluation whose job has ended; its files came back."""
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    directory.define(evaluation)
    back = directory.arrived(evaluation.fingerprint)
    back.mkdir(parents=True)
    (back / "f").write_text(json.dumps({"v": 1}))
    return directory


def collected(directory: EvaluationDirectory, evaluation: Evaluation, way: str) -> Verdict:
    """Collect the job whose files travel on a *way*, and return the verdict on its health."""
    jobs.collect(directory, evaluation.fingerprint, {"LEPTON_TRANSPORT": way})
    done = directory.completion(evaluation.fingerprint)
    assert done is not None
    return judge_evaluation(evaluation, done.health)


def arrive(directory: EvaluationDirectory, evaluation: Evaluation) -> Path:
    """Let the requests of the job arrive, and return their folder."""
    keep(directory, CUT)
    arrived = directory.arrived_requests(evaluation.fingerprint)
    directory.requests.rename(arrived)
    return arrived


def test_a_journal_that_returned_has_the_health_and_its_requests(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    arrive(directory, evaluation)
    verdict = collected(directory, evaluation, "s3")
    assert (verdict.cell, verdict.unknown) == ("30 % cut", "")
    assert len(verdict.warns[0].examples) == 3


def test_through_the_log_the_counts_of_the_gateway_are_the_health(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    arrived = arrive(directory, evaluation)
    (journal,) = arrived.glob("m/*.journal")
    journal.unlink()
    part = {
        "requests": 10, "answers": {"asked": 10, "journal": 0}, "identity": "identity",
        "finish_reasons": {"length": 3, "stop": 7}, "empty": 0, "tokens": {"completion": 50},
        "latency": {name: {"median": 0.5, "p95": 1} for name in ("first_byte", "whole")},
        "waits": {}, "tries": 10, "lost": {}, "causes": {},
    }  # fmt: skip
    (arrived / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    verdict = collected(directory, evaluation, "log")
    assert (verdict.cell, verdict.unknown) == ("30 % cut", "")
    assert verdict.warns[0].examples == ()


def test_an_image_without_python_leaves_health_unknown(
    directory: EvaluationDirectory, evaluation: Evaluation
) -> None:
    verdict = collected(directory, evaluation, "s3")
    assert verdict.cell == "unknown"
    assert verdict.unknown == "its image has no Python 3.9, and so no gateway"
