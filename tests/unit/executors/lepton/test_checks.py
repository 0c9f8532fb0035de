"""`snakeval doctor` on Lepton: library, workspace, profile, secrets and models."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standin import StandIn

from snakeval.executors.base import Intent
from snakeval.executors.lepton.checks import _LIBRARY
from snakeval.executors.lepton.checks import checks as of_start
from snakeval.executors.lepton.executor import Lepton
from support.configs import COMMAND, MODEL, VALID, config, write
from support.lepton import standin
from support.made import snakeval
from support.workspace import REPOSITORY

Capture = pytest.CaptureFixture[str]

SERVED = {"kind": "generic", "image": "i", "command": "serve {{ port }}"}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a login and with a directory without anything."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("LEPTON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("MY_KEY", "sk-secret")
    monkeypatch.delenv("LEPTON_WORKSPACE_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lepton(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with standin(monkeypatch) as started:
        yield started


def checks(capsys: Capture, *words: str) -> dict[str, dict[str, Any]]:
    said = snakeval(capsys, "doctor", "--json", *words)
    found = {row["what"]: row for row in json.loads(said.out)}
    return {what: row for what, row in found.items() if what.startswith("lepton")}


def profile(directory: Path, **settings: str) -> None:
    (directory / "own/snakemake/lepton").mkdir(parents=True)
    named = {f"lepton-{name.replace('_', '-')}": value for name, value in settings.items()}
    write(directory / "own/snakemake/lepton", {"executor": "lepton", **named}, "config.yaml")


def test_without_a_login_nothing_is_asked(capsys: Capture) -> None:
    found = checks(capsys)
    assert [*found] == ["lepton"]
    assert found["lepton"]["state"] == "no"
    assert found["lepton"]["to do"].endswith("lep login -c WORKSPACE:TOKEN")


def test_without_its_library_it_says_what_to_install(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = checks(capsys)["lepton"]
    assert (found["state"], found["to do"].rpartition(": ")[2]) == (
        "no",
        "pip install 'snakeval[lepton]'",
    )
    monkeypatch.setenv("LEPTON_WORKSPACE_ID", "w")
    assert checks(capsys)["lepton"]["state"] == "wrong"


def test_an_untested_version_of_the_library_is_reported(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.executors.lepton.checks.version", lambda name: "0.27.3")
    found = checks(capsys)["lepton"]
    assert (found["state"], found["found"]) == ("wrong", "leptonai 0.27.3")


def test_the_versions_are_those_that_the_executor_allows() -> None:
    plugin = REPOSITORY / "workflow/snakemake-executor-plugin-lepton/pyproject.toml"
    assert f'"leptonai{_LIBRARY}"' in plugin.read_text()


def test_the_workspace_and_what_the_profile_names_are_looked_at(
    bare: Path, lepton: StandIn, capsys: Capture
) -> None:
    profile(bare, node_group="h100", resource_shape="gpu.9", s3_prefix="bucket")
    found = checks(capsys)
    assert found["lepton workspace"]["state"] == "ok"
    assert found["lepton node group"]["state"] == "ok"
    assert found["lepton resource shape"]["state"] == "wrong"
    assert "there are: cpu.large" in found["lepton resource shape"]["found"]
    assert "is not s3://BUCKET/PREFIX" in found["lepton files"]["found"]


def test_an_expired_token_is_reported_and_never_printed(lepton: StandIn, capsys: Capture) -> None:
    token, lepton.workspace.token = lepton.workspace.token, "new"
    said = snakeval(capsys, "doctor")
    assert said.exit_code == 1
    assert "the token is wrong or has expired. Log in with `lep login" in said.out
    assert token not in said.out + said.err


def test_secrets_and_endpoints_that_the_configuration_needs_are_looked_for(
    bare: Path, lepton: StandIn, capsys: Capture
) -> None:
    models = {
        "hosted": {"endpoint": {**MODEL["endpoint"], "api_key_name": "MY_KEY"}},
        "served": {
            "deployment": {**SERVED, "gpus": 1, "lepton": {"max_replicas": 2, "target_qpm": 9}}
        },
        "lost": {"deployment": {**SERVED, "lepton": {"node_group": "h200"}}},
        "here": {"deployment": {**SERVED, "mounts": [{"source": "/tmp", "target": "/x"}]}},
    }
    path = write(bare, {"models": models, "benchmarks": {"b": {**COMMAND, "image": "i"}}})
    found = checks(capsys, "--config", str(path))
    assert found["lepton secret MY_KEY"]["to do"].endswith("lep secret create -n MY_KEY -v …")
    served = found["lepton endpoint of served"]
    assert (served["state"], served["found"]) == ("ok", "would get gpu.1xh100-sxm, 1 to 2 replicas")
    lost = found["lepton endpoint of lost"]
    assert (lost["state"], lost["found"]) == ("wrong", "no node group h200; there are cpu, h100")
    assert found["lepton endpoint of here"]["state"] == "no"  # it may be for this machine
    lepton.workspace.secrets["MY_KEY"] = "sk"
    assert checks(capsys, "--config", str(path))["lepton secret MY_KEY"]["state"] == "ok"


def test_a_budget_fails_a_start_since_jobs_do_not_count_requests(tmp_path: Path) -> None:
    def wrong(**rows: Any) -> list[tuple[str, str]]:
        intent = Intent(config(tmp_path, VALID | rows), starting=True)
        return [(each.what, each.to_do) for each in of_start(intent) if each.what == "budget"]

    assert wrong(budget={"tokens": 100}) == [("budget", "remove the budget")]
    assert wrong(budget={}) == wrong() == []


def test_a_missing_library_is_a_sentence_for_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lepton().lacks("lepton") == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    sentence = "requires leptonai, which is not installed: pip install 'snakeval[lepton]'"
    assert Lepton().lacks("lepton") == f"The executor lepton {sentence}"
    assert Lepton().lacks("other") == ""
