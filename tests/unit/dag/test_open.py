"""The checks of plain `snakemake`, which asks its executor where secrets are."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from snakeval.config.load import load
from snakeval.dag.invocation import Invocation
from snakeval.dag.matrix import Matrix
from snakeval.dag.open import _check, _expansion, _noted, _preflight
from snakeval.dag.planning import CHECK
from snakeval.errors import ConfigError
from snakeval.series.load import Expansion
from support.checkpoints import checkpoint
from support.configs import COMMAND, changed, write
from support.invocations import SERVER, invocation, reruns
from support.standing import CHAT, standing
from support.training import LATER
from support.workspace import REPOSITORY

LEPTON = str(REPOSITORY / "profiles" / "lepton")
LOCAL = str(REPOSITORY / "profiles" / "local")


@pytest.mark.parametrize("words", [["--profile", LEPTON], ["--executor", "lepton", "-j", "1"]])
def test_a_variable_that_names_a_secret_of_the_workspace_may_be_unset_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    opened = invocation(tmp_path, changed("models", "m", "endpoint", "api_key_name", to="MY_KEY"))
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    _check(opened, True)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--profile", LOCAL])
    with pytest.raises(ConfigError, match="MY_KEY is not set; export it"):
        _check(opened, True)


def test_other_problems_are_errors_on_lepton_also(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    opened = invocation(tmp_path, content, output_dir=str(tmp_path / "c.yaml" / "out"))
    monkeypatch.setattr(sys, "argv", ["snakemake", "--profile", LEPTON])
    with pytest.raises(ConfigError) as refused:
        _check(opened, True)
    assert "MY_KEY" not in str(refused.value)
    assert "c.yaml is a file" in str(refused.value)


class Workflow:
    """What the check of endpoints asks a workflow of Snakemake."""

    def __init__(self, *, dryrun: bool) -> None:
        self.output_settings = SimpleNamespace(dryrun=dryrun)
        self.resource_settings = SimpleNamespace(nodes=None)


def asking(directory: Path, url: str, *, starts: bool, **overrides: Any) -> Matrix:
    benchmarks = {"b": COMMAND | {"command": "ask {{ url }}"}}
    endpoint = {"url": url, "model_id": "m"}
    content = {"runtime": "process", "models": {"m": {"endpoint": endpoint}}}
    opened = invocation(directory, content | {"benchmarks": benchmarks}, starts=starts, **overrides)
    return cast("Matrix", SimpleNamespace(invocation=opened, reruns=reruns(opened)[0], missing=[]))


def test_a_start_asks_endpoints_and_a_plan_asks_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECK, "")
    with standing({}) as server:
        url = f"{server.url}/v1"
        plan = Workflow(dryrun=True)
        _preflight(plan, asking(tmp_path, url, starts=False), [])
        _preflight(Workflow(dryrun=False), asking(tmp_path, url, starts=True, preflight=False), [])
        assert server.asked == []
        for matrix, workflow in (
            (asking(tmp_path, url, starts=True), Workflow(dryrun=False)),
            (asking(tmp_path, url, starts=False, check=True), plan),
        ):
            with pytest.raises(SystemExit) as ended:
                _preflight(workflow, matrix, [Path("c.yaml")])
            assert ended.value.code == 2
            first, last = capsys.readouterr().err.splitlines()
            assert first.startswith("snakeval: c.yaml: models.m.endpoint.url: the endpoint refuses")
            assert last.startswith("snakeval: nothing has started; --no-preflight (snakemake: ")


def test_a_checked_plan_says_how_many_endpoints_it_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECK, "1")
    with standing({"POST /v1/chat/completions": (200, CHAT)}) as server:
        matrix = asking(tmp_path, f"{server.url}/v1", starts=False)
        _preflight(Workflow(dryrun=True), matrix, [])
    assert capsys.readouterr().err == "Endpoints: 1 asked\n"


def test_only_a_start_or_a_dry_run_that_checks_asks_endpoints_for_series(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CHECK, raising=False)
    monkeypatch.setattr(sys, "argv", ["snakemake"])
    head, plans = (
        SimpleNamespace(is_main_process=True, output_settings=SimpleNamespace(dryrun=dryrun))
        for dryrun in (False, True)
    )
    asks = [
        (made.waits, made.listed is not None)
        for made in (
            _expansion(head, {}),
            _expansion(plans, {}),
            _expansion(plans, {"check": "True"}),
            _expansion(plans, {"check": "false"}),
        )
    ]
    assert asks == [(True, True), (False, False), (False, True), (False, False)]
    monkeypatch.setenv(CHECK, "1")
    assert _expansion(plans, {}).listed is not None


def test_a_command_plans_again_if_another_one_evaluates_equal_weights(tmp_path: Path) -> None:
    for step in (100, 200):
        checkpoint(tmp_path / f"train/step-{step}")
    series = {"pattern": f"{tmp_path}/train/step-{{step}}"}
    models = {"run7": {"deployment": SERVER, "checkpoints": series}}
    asks = COMMAND | {"command": "ask {{ url }}"}
    file = write(tmp_path, {"models": models, "benchmarks": {"b": asks}})

    def planned(**overrides: Any) -> Invocation:
        values = {"output_dir": str(tmp_path / "out"), **overrides}
        config, selection, _ = load([file], values, Expansion(False, clock=LATER))
        return Invocation(config, selection, [file], starts=True)

    first = planned(models="run7@100")
    assert _noted(first) is first, "its run has not started"
    first.run.start()
    one, other = (planned(models=f"run7@{step}", run=first.run.id) for step in (100, 200))
    assert _noted(one) is one
    again = _noted(other)
    assert [item.same_as for item in again.points] == ["run7@100"]
    assert [each.id for each in again.selected.values()] == ["run7@100/b"]
