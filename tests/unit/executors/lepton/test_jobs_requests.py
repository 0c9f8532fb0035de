"""Changes to requests require the gateway of a job, and that requires Python in the image."""

from __future__ import annotations

from pathlib import Path

from snakeval.executors.lepton import jobs
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config


def test_a_job_with_changes_to_requests_fails_in_an_image_without_python(tmp_path: Path) -> None:
    endpoint = MODEL["endpoint"] | {"request": {"drop": ["stop"]}}
    benchmark = COMMAND | {"image": "busybox", "command": "ask {{ url }} > {{ results }}/f"}
    settings = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, settings))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    command = str(jobs.job(evaluation, directory, "run", {}, {})["command"])
    _, without = command.split("; else ")
    assert "endpoint.request requires the ledger" in without
    assert without.endswith("exit 1; fi")
