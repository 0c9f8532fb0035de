"""A server that is ready has loaded the weights of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.errors import EvaluationError, GoneError
from snakeval.serving.deployment import Deployment
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.loaded import why_changed
from snakeval.serving.plan import Plan
from snakeval.serving.resolve import Resolved, resolve
from snakeval.serving.weights import by_stat, files_of, weigh
from support.checkpoints import checkpoint
from support.machine import SERVE, Machine, made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with made(tmp_path, monkeypatch) as machine:
        yield machine


def deployment(place: Path, command: str = SERVE) -> Deployment:
    spec = models.Deployment(
        kind="generic",
        runtime="process",
        command=command,
        checkpoint_path=str(place),
        served_model_name="careful",
    )
    known = Resolved(checkpoint_digest=weigh(place), weights_stat=by_stat(files_of(place)))
    return resolve("run7@200", spec, "host", resolved=known)


@pytest.mark.parametrize(
    ("meanwhile", "kind", "why"),
    [
        ("echo >> {{ model }}/model.safetensors", EvaluationError, "changed while it loaded them"),
        ("rm -rf {{ model }}", GoneError, "gone: its checkpoint"),
    ],
)
def test_no_server_becomes_ready_whose_weights_changed_while_it_loaded_them(
    machine: Machine, tmp_path: Path, meanwhile: str, kind: type[EvaluationError], why: str
) -> None:
    place = checkpoint(tmp_path / "step-200")
    plan = Plan("run7@200", 0, deployment(place, f"{meanwhile}; exec {SERVE}"), (("e", "0" * 64),))
    DeploymentDirectory.of(machine.directory, plan.name).define(plan)
    with pytest.raises(kind, match=why), machine.serve(plan.name):
        pass


def test_weights_that_stay_or_are_copied_on_the_node_have_not_changed(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "step-200")
    found = deployment(place)
    assert why_changed(found, {}) == ""
    local = {"SNAKEVAL_LOCAL_WEIGHTS": str(tmp_path)}
    (place / "config.json").write_text('{"other": 1}')
    assert "changed since the run started" in why_changed(found, local)
    without = resolve("m", models.Deployment(kind="generic", command="serve"), "host")
    assert why_changed(without, {}) == ""
