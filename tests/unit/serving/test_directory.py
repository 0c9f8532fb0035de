"""A deployment's directory: where everything is, and what its files hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.errors import EvaluationError
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory, undeployed
from snakeval.serving.plan import Plan
from snakeval.serving.resolve import resolve
from support.links import refuse_symlinks


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def directory(run: RunDirectory) -> DeploymentDirectory:
    return DeploymentDirectory.of(run, "llama")


def plan(name: str = "llama") -> Plan:
    spec = models.Deployment.model_validate(
        {"kind": "generic", "command": "serve {{ port }}", "served_model_name": name}
    )
    return Plan(name, 0, resolve(name, spec, "host"), (("llama/a", "f"), ("llama/b", "g")))


def test_each_allocation_has_a_folder() -> None:
    folders = [DeploymentDirectory.folder(number) for number in (1, 2, 12)]
    assert folders == ["deployment", "deployment-2", "deployment-12"]
    assert [DeploymentDirectory.number(folder) for folder in folders] == [1, 2, 12]


def test_its_allocations_are_those_that_exist(run: RunDirectory) -> None:
    first, second = (DeploymentDirectory.of(run, "llama", number) for number in (1, 2))
    assert first.allocations() == []
    for each in (first, second, run.evaluation("llama/ifeval")):
        each.path.mkdir(parents=True)
    assert first.allocations() == second.allocations() == [first, second]


def test_a_record_leads_to_its_run_and_model(directory: DeploymentDirectory) -> None:
    again = DeploymentDirectory.of_record(directory.output)
    assert again == directory
    assert again.record == directory.record
    assert (again.model, again.name) == ("llama", "llama/deployment")
    assert RunDirectory.of(again) == RunDirectory(directory.path.parent.parent)


def test_a_plan_is_read_as_it_was_written(
    run: RunDirectory, directory: DeploymentDirectory
) -> None:
    assert not directory.defines(plan())
    directory.define(plan())
    assert directory.defines(plan())
    assert not directory.defines(replace(plan(), rank=1))
    assert directory.plan() == plan()
    assert DeploymentDirectory.all(run) == [directory]


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"])
def test_a_plan_that_cannot_be_read_says_so(
    directory: DeploymentDirectory, text: str | None
) -> None:
    if text is not None:
        directory.define(plan())
        directory.plan_file.write_text(text)
    with pytest.raises(EvaluationError, match=r"llama\.json cannot be read"):
        directory.plan()


def test_what_became_of_it_ends_an_earlier_failure(directory: DeploymentDirectory) -> None:
    assert directory.read_record() == {}
    directory.fail("no GPU")
    assert directory.failure_reason() == "no GPU"
    directory.complete({"state": "ready", "url": "http://x"})
    found = directory.read_record()
    assert (found["deployment"], found["state"], found["url"]) == ("llama", "ready", "http://x")
    assert not directory.has_failure()


def test_its_log_begins_empty(directory: DeploymentDirectory) -> None:
    for _ in range(2):
        directory.begin_log()
        directory.add_to_log("waits")
        directory.add_to_log("ready")
    lines = directory.log.read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["waits", "ready"]


def test_each_start_of_a_server_has_a_log(directory: DeploymentDirectory) -> None:
    logs = [directory.new_server_log() for _ in range(3)]
    assert [log.name for log in logs] == ["server-1.log", "server-2.log", "server-3.log"]
    assert directory.server_logs() == logs
    assert directory.server_log.resolve() == logs[-1].resolve()


def test_without_symbolic_links_server_log_is_the_newest_log_itself(
    directory: DeploymentDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_symlinks(monkeypatch)
    for said in ("first", "second", "third"):
        directory.new_server_log().write_text(said)
    assert directory.server_log.read_text() == "third"
    assert [log.read_text() for log in directory.server_logs()] == ["first", "second", "third"]
    directory.show_instance_log()
    assert directory.server_log.read_text() == "It is in instance-0/server.log.\n"


def test_with_several_instances_server_log_is_that_of_the_first(
    directory: DeploymentDirectory,
) -> None:
    directory.show_instance_log()
    assert directory.instances() == []
    log = directory.instance(0).new_server_log()
    assert directory.server_log.resolve() == log.resolve()
    assert directory.instances() == [directory.instance(0)]
    directory.show_instance_log()  # and again, at the next start


def test_an_evaluation_whose_model_was_not_deployed_has_the_reason(run: RunDirectory) -> None:
    for name in ("llama", "judge"):
        DeploymentDirectory.of(run, name).define(plan(name))
    assert undeployed(run) == {}
    DeploymentDirectory.of(run, "judge").fail("no GPU")
    assert undeployed(run) == {"llama/a": "no GPU", "llama/b": "no GPU"}


def test_a_deployment_of_the_last_release_has_the_same_layout(
    run: RunDirectory, directory: DeploymentDirectory
) -> None:
    below = {
        directory.record: "llama/deployment/deployment.json",
        directory.log: "llama/deployment/deploy.log",
        directory.server_log: "llama/deployment/server.log",
        directory.timings: "llama/deployment/spent.jsonl",
        directory.events: "llama/deployment/events.jsonl",
        directory.script: "llama/deployment/serve.sh",
        directory.failure: "llama/deployment/failure.json",
        directory.instance(1).server_log: "llama/deployment/instance-1/server.log",
        directory.plan_file: ".snakeval/deployments/llama.json",
        DeploymentDirectory.of(run, "llama", 2).log: "llama/deployment-2/deploy.log",
    }
    assert {path: path.relative_to(run.path).as_posix() for path in below} == below


def test_a_record_of_the_last_release_is_read(directory: DeploymentDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.record.write_text(json.dumps({"deployment": "llama", "state": "ready", "log": "x"}))
    assert directory.read_record()["log"] == "x"
