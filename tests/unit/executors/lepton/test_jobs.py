"""Secrets of a job of Lepton."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.executors.lepton import jobs
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import MODEL, config


def test_a_gated_task_gets_the_token_that_the_workspace_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {"task": "lm-eval.gpqa_diamond_cot_zeroshot"}
    monkeypatch.setenv("HF_TOKEN", "of this machine")
    (evaluation,) = expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": task}}))
    directory = RunDirectory(tmp_path / "run").evaluation(evaluation.id)

    def secrets(*there: str) -> object:
        return jobs.job(evaluation, directory, "run", {}, {}, there=there)["secrets"]

    assert secrets("HF_TOKEN", "OTHER") == {"HF_TOKEN": "HF_TOKEN"}
    assert secrets("OTHER") == {}
