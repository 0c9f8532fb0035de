"""A server whose checkpoint was deleted fails as gone, whatever its log says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.errors import EvaluationError, GoneError
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.gone import noticed
from snakeval.serving.plan import Plan
from snakeval.serving.resolve import resolve
from support.checkpoints import checkpoint


def planned(run: RunDirectory, name: str, path: Path) -> None:
    served = {"kind": "generic", "command": "serve", "checkpoint_path": str(path)}
    made = resolve(name, models.Deployment.model_validate(served), "host")
    directory = DeploymentDirectory.of(run, name)
    directory.plan_file.parent.mkdir(parents=True, exist_ok=True)
    directory.define(Plan(name, 0, made, ()))


def failed(run: RunDirectory, *names: str) -> EvaluationError:
    with pytest.raises(EvaluationError) as error, noticed(run, names):
        raise EvaluationError("its log ends: no such file")
    return error.value


def test_only_a_deleted_checkpoint_of_a_series_is_gone(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    there = checkpoint(tmp_path / "step-200")
    for name in ("run7@200", "plain"):
        planned(run, name, there)
    assert failed(run, "run7@200", "plain").kind == ""
    shutil.rmtree(there)
    assert failed(run, "plain").kind == "", "the user can correct its path"
    assert failed(run, "run7@900").kind == "", "it has no plan"
    found = failed(run, "plain", "run7@200")
    assert isinstance(found, GoneError)
    assert (str(found), found.kind) == (f"gone: its checkpoint {there} was deleted", "gone")
