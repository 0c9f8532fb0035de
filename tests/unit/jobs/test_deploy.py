"""The job that starts a model's server early: when it starts none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.jobs import deploy, run_job
from snakeval.ledger.budget import BudgetFile
from snakeval.serving import client
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from support.checkpoints import checkpoint
from support.invocations import invocation, serving
from support.shared import swapped


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose server is started."""
    found: list[str] = []

    def serve(run: Any, names: tuple[str, ...], **options: Any) -> Any:
        found.extend(names)
        raise EvaluationError("the test serves nothing")

    monkeypatch.setattr(client, "serve", serve)
    return found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)


@pytest.mark.parametrize(
    ("offline", "online"), [(True, ()), (True, ("m",)), (True, ("judge",)), (False, ())]
)
def test_an_offline_run_starts_no_server_except_of_models_that_it_asks(
    tmp_path: Path, started: list[str], offline: bool, online: tuple[str, ...]
) -> None:
    opened = invocation(tmp_path, serving(), **({"offline": True} if offline else {}))
    mine = [each for each in opened.everything if each.model == "m"]
    for each in mine:
        transport = replace(each.transport, online=online)
        opened.directory.evaluation(each.id).define(replace(each, transport=transport))
    directory = DeploymentDirectory.of(opened.directory, "m")
    evaluations = tuple((each.id, each.fingerprint) for each in mine)
    directory.define(Plan("m", 0, opened.deployed["m"], evaluations))
    code = deploy.main([directory.output])
    if offline and "m" not in online:
        assert (code, started) == (0, [])
        state = json.loads(directory.record.read_text())["state"]
        assert state == "not needed: the journals answer its evaluations"
    else:
        assert (code, started) == (1, ["m"])


def test_other_checkpoints_do_not_fail_with_the_one_that_stands_for_their_server(
    tmp_path: Path, started: list[str]
) -> None:
    opened = invocation(tmp_path, serving())
    (mine, *_) = (each for each in opened.everything if each.model == "m")
    opened.directory.evaluation(mine.id).define(mine)
    directory = DeploymentDirectory.of(opened.directory, "m")
    shared = swapped(checkpoint(tmp_path / "step-1"))
    directory.define(Plan("m", 0, shared, ((mine.id, mine.fingerprint),)))
    assert (deploy.main([directory.output]), started) == (0, ["m"])
    assert json.loads(directory.record.read_text())["state"].startswith("not started: ")


@pytest.mark.parametrize("used", [4, 5])
def test_a_run_whose_budget_is_used_up_starts_no_server(
    tmp_path: Path, started: list[str], used: int
) -> None:
    opened = invocation(tmp_path, {**serving(), "budget": {"requests": 5}})
    mine = [each for each in opened.everything if each.model == "m"]
    for each in mine:
        opened.directory.evaluation(each.id).define(each)
    directory = DeploymentDirectory.of(opened.directory, "m")
    evaluations = tuple((each.id, each.fingerprint) for each in mine)
    directory.define(Plan("m", 0, opened.deployed["m"], evaluations))
    opened.directory.budget.parent.mkdir(parents=True, exist_ok=True)
    file = BudgetFile(opened.directory.budget, {"requests": 5})
    file.end(file.open("e/b", is_kept=True).id, {"requests": used})
    code = deploy.main([directory.output])
    if used < 5:
        assert (code, started) == (1, ["m"])
    else:
        assert (code, started) == (0, [])
        state = json.loads(directory.record.read_text())["state"]
        assert state == "not needed: the run's budget is used up"
