"""Jobs of Lepton ask endpoints themselves, so nothing changes their requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.executors.lepton import jobs
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config


def test_changes_to_requests_require_a_gateway_which_jobs_of_lepton_lack(tmp_path: Path) -> None:
    endpoint = MODEL["endpoint"] | {"request": {"drop": ["stop"]}}
    benchmark = COMMAND | {"image": "busybox"}
    settings = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, settings))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)
    with pytest.raises(EvaluationError, match="requires the ledger's gateway"):
        jobs.job(evaluation, directory, "run", {}, {})
