"""The job that starts a model's server early: when it starts none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.jobs import deploy, run_job
from snakeval.serving import client
from snakeval.serving.directory import DeploymentDirectory, Plan
from support.invocations import invocation, serving


@pytest.mark.parametrize(
    ("offline", "online"), [(True, ()), (True, ("m",)), (True, ("judge",)), (False, ())]
)
def test_an_offline_run_starts_no_server_except_of_models_that_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool, online: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)
    opened = invocation(tmp_path, serving(), **({"offline": True} if offline else {}))
    mine = [each for each in opened.everything if each.model == "m"]
    for each in mine:
        transport = replace(each.transport, online=online)
        opened.directory.evaluation(each.id).define(replace(each, transport=transport))
    directory = DeploymentDirectory.of(opened.directory, "m")
    evaluations = tuple((each.id, each.fingerprint) for each in mine)
    directory.define(Plan("m", 0, opened.deployed["m"], evaluations))
    started: list[str] = []

    def serve(run: Any, names: tuple[str, ...], **options: Any) -> Any:
        started.extend(names)
        raise EvaluationError("the test serves nothing")

    monkeypatch.setattr(client, "serve", serve)
    code = deploy.main([directory.output])
    if offline and "m" not in online:
        assert (code, started) == (0, [])
        state = json.loads(directory.record.read_text())["state"]
        assert state == "not needed: the journals answer its evaluations"
    else:
        assert (code, started) == (1, ["m"])
