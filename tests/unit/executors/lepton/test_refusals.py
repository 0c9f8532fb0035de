"""Evaluations whose jobs the service would refuse get no endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.executors.lepton.refusals import INPUT_CAP, refuse_if_all_are
from snakeval.matrix.expand import deployments, expand
from snakeval.run.directory import RunDirectory
from snakeval.serving.plan import Plan
from support.configs import COMMAND, config

SERVED = {"deployment": {"kind": "generic", "image": "server", "command": "serve {{ port }}"}}


def planned(tmp_path: Path, **benchmarks: dict[str, Any]) -> tuple[RunDirectory, Plan]:
    """A run with the evaluations of a served model, none of them finished."""
    all_ = {name: {**COMMAND, "image": "harness", **own} for name, own in benchmarks.items()}
    made = config(tmp_path, {"models": {"m": SERVED}, "benchmarks": all_})
    run = RunDirectory(tmp_path / "run")
    evaluations = expand(made)
    for evaluation in evaluations:
        directory = run.evaluation(evaluation.id)
        directory.private.mkdir(parents=True)
        directory.spec.write_text(evaluation.to_json())
    pairs = tuple((each.id, each.fingerprint) for each in evaluations)
    return run, Plan("m", 0, deployments(made)["m"], pairs)


def test_without_its_secret_no_evaluation_can_run(tmp_path: Path) -> None:
    run, plan = planned(tmp_path, a={"env": {"HF_TOKEN": "MY_TOKEN"}})
    with pytest.raises(EvaluationError, match="no endpoint is created: no secret MY_TOKEN in the"):
        refuse_if_all_are(run, plan, set(), {})
    refuse_if_all_are(run, plan, {"MY_TOKEN"}, {})


def test_one_evaluation_that_can_run_is_enough(tmp_path: Path) -> None:
    run, plan = planned(tmp_path, a={"env": {"HF_TOKEN": "MY_TOKEN"}}, b={})
    refuse_if_all_are(run, plan, set(), {})


def test_inputs_over_the_cap_are_found_before_an_endpoint(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "data").write_bytes(os.urandom(5000))
    run, plan = planned(tmp_path, a={"files": str(files), "ledger": "off"})
    with pytest.raises(EvaluationError, match=r"the input files of a have 5\d\d\d bytes packed"):
        refuse_if_all_are(run, plan, set(), {INPUT_CAP: "4000"})
    refuse_if_all_are(run, plan, set(), {INPUT_CAP: "0"})
    refuse_if_all_are(run, plan, set(), {INPUT_CAP: "9000"})
