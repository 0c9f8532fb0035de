"""A model's endpoint: made once, adopted, woken, told what is wrong with, and deleted."""

from __future__ import annotations

import threading
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from standin import Fault, StandIn, status

from snakeval.config.load import load
from snakeval.errors import EvaluationError
from snakeval.executors.lepton import jobs
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.executors.lepton.notes import Notes
from snakeval.executors.lepton.spec import specification
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from support.lepton import free_port, served, submitted
from support.made import begin
from support.served import wait_for


def serve(endpoints: Endpoints, asked: Plan) -> list[str]:
    told: list[str] = []
    endpoints.serve(asked, Event(), told.append)
    return told


def test_an_endpoint_is_ready_when_its_model_is_and_only_its_key_opens_it(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    serve(endpoints, served(tmp_path, port))
    noted = Notes(RunDirectory(tmp_path / "run")).ready("m")
    (key,) = lepton.workspace.secrets.values()
    models = noted.url.replace("/chat/completions", "/models")
    assert (status(models, key), status(models, "other")) == (200, 401)
    endpoints.end(lambda text: None)
    wait_for(lambda: not lepton.workspace.endpoints.all, "its end")
    assert lepton.workspace.secrets == {}
    assert Notes(RunDirectory(tmp_path / "run")).all() == []


@pytest.mark.parametrize("when", ["drop", "after", "before"])
def test_a_lost_answer_makes_no_second_endpoint(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int, when: str
) -> None:
    lepton.faults.add(Fault("POST /(deployments|endpoints)", when=when))
    serve(endpoints, served(tmp_path, port))
    assert len(lepton.workspace.endpoints.all) == 1
    endpoints.end(lambda text: None)


def test_the_next_head_adopts_it_and_wakes_what_was_scaled_to_zero(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    asked = served(tmp_path, port)
    serve(endpoints, asked)
    (made,) = lepton.workspace.endpoints.all.values()
    lepton.workspace.ttl_scale = 0  # nobody asks it, for longer than it is kept
    wait_for(lambda: made.phase == "Stopped", "scaled to zero")
    lepton.workspace.ttl_scale = 1
    assert any("adopts" in text for text in serve(endpoints, asked))
    assert lepton.workspace.endpoints.loads == {made.name: 2}
    endpoints.end(lambda text: None)


def test_another_attempt_at_an_evaluation_wakes_what_was_scaled_to_zero(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    asked, run = served(tmp_path, port), RunDirectory(tmp_path / "run")
    serve(endpoints, asked)
    DeploymentDirectory.of(run, "m").define(asked)
    (evaluation,) = expand(load([tmp_path / "c.yaml"], {})[0])
    directory = run.evaluation(evaluation.id)
    directory.private.mkdir(parents=True)
    directory.spec.write_text(evaluation.to_json())
    begin(directory, evaluation.fingerprint)
    (made,) = lepton.workspace.endpoints.all.values()
    lepton.workspace.ttl_scale = 0
    wait_for(lambda: made.phase == "Stopped", "scaled to zero")
    lepton.workspace.ttl_scale = 1
    assert jobs.prepare(directory, evaluation.fingerprint) == 0
    assert lepton.workspace.endpoints.loads == {made.name: 2}
    endpoints.end(lambda text: None)


def test_another_definition_takes_the_place_of_the_old_one(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    serve(endpoints, served(tmp_path, port))
    (old,) = lepton.workspace.endpoints.all
    told = serve(endpoints, served(tmp_path, port, extra_args="more"))
    assert f"deletes {old}, which serves another definition" in told
    wait_for(lambda: len(lepton.workspace.endpoints.all) == 1, "the end of the old one")
    endpoints.end(lambda text: None)


def test_an_endpoint_stays_while_a_live_job_asks_it(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    serve(endpoints, served(tmp_path, port))
    (made,) = lepton.workspace.endpoints.all
    job = submitted(tmp_path / "run", "m/b", key=made)
    told: list[str] = []
    endpoints.end(told.append)
    assert told == [f"keeps endpoint {made} of m: job {job} asks it"]
    kept = f"keeps {made}, which serves another definition: job {job} asks it"
    assert kept in serve(endpoints, served(tmp_path, free_port(), extra_args="more"))
    assert made in lepton.workspace.endpoints.all
    assert Notes(RunDirectory(tmp_path / "run")).ready("m").name != made
    endpoints._platform.delete_job(job)
    endpoints.end(told.append)
    wait_for(lambda: not lepton.workspace.endpoints.all, "the end of both")
    assert Notes(RunDirectory(tmp_path / "run")).all() == []


def test_scaling_and_place_are_as_configured(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    options = {
        "node_group": "h100", "resource_shape": "gpu.1xh100-sxm", "min_replicas": 1,
        "max_replicas": 3, "target_qpm": 60, "image_pull_secrets": ["registry"],
    }  # fmt: skip
    serve(endpoints, served(tmp_path, port, lepton=options))
    (made,) = lepton.workspace.endpoints.all.values()
    scaler = made.part["autoscaling" if made.new else "auto_scaler"]
    assert scaler["target_throughput"]["qpm"] == 60
    assert scaler["scale_down"]["no_traffic_timeout"] == 7200
    assert made.scale["max_replicas"] == 3
    assert made.scale["affinity"] == {"allowed_dedicated_node_groups": ["ng-0a1b2c"]}
    assert made.spec["image_pull_secrets"] == ["registry"]
    assert made.spec["ingress_timeout_seconds"] == 3600
    endpoints.end(lambda text: None)


def test_an_endpoint_inherits_the_node_group_of_the_jobs_unless_it_names_one(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int, monkeypatch: Any
) -> None:
    monkeypatch.setenv("LEPTON_NODE_GROUP", "h100")
    serve(endpoints, served(tmp_path, port))
    (made,) = lepton.workspace.endpoints.all.values()
    assert made.scale["affinity"] == {"allowed_dedicated_node_groups": ["ng-0a1b2c"]}
    endpoints.end(lambda text: None)
    own = specification(endpoints._platform, served(tmp_path, port).deployment, "h100")
    named = served(tmp_path, port, lepton={"node_group": "cpu"}).deployment
    other = specification(endpoints._platform, named, "h100")
    groups = [
        each.resource_requirement.affinity.allowed_dedicated_node_groups for each in (own, other)
    ]
    assert groups == [["ng-0a1b2c"], ["ng-3d4e5f"]]


def test_the_key_of_an_endpoint_is_a_private_secret(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    serve(endpoints, served(tmp_path, port))
    assert lepton.workspace.private_secrets == set(lepton.workspace.endpoints.all)
    endpoints.end(lambda text: None)


def test_shared_memory_is_within_the_shape_and_the_priority_is_the_services_word(
    endpoints: Endpoints, tmp_path: Path, port: int
) -> None:
    asked = served(tmp_path, port, shm_mb=999_999, lepton={"priority": "high"}).deployment
    made = specification(endpoints._platform, asked)
    assert made.resource_requirement.resource_shape == "cpu.small"
    assert made.resource_requirement.shared_memory_size == 8 * 1024
    assert made.queue_config.priority_class == "high-7000"


def test_queue_reservation_liveness_and_no_time_out_reach_the_platform(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    options = {
        "priority": "high-7000", "can_preempt": True, "reservation": "r-1", "liveness_delay": 900,
        "no_traffic_timeout": None,
    }  # fmt: skip
    serve(endpoints, served(tmp_path, port, lepton=options))
    (made,) = lepton.workspace.endpoints.all.values()
    assert made.part["queue_config"]["priority_class"] == "high-7000"
    assert made.part["queue_config"]["can_preempt"] is True
    assert made.part["reservation_config"]["reservation_id"] == "r-1"
    assert made.part["health"]["liveness"]["initial_delay_seconds"] == 900
    assert made.idle_limit == 0
    endpoints.end(lambda text: None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"command": "echo no kernel image; exit 9"}, "its log ends: no kernel image"),
        ({"image": "missing/image"}, r"its image cannot be pulled \(ErrImagePull\)"),
        ({"served_model_name": "other"}, "does not list 'other', but careful; correct served_mod"),
        ({"lepton": {"node_group": "h200"}}, "no node group h200; there are cpu, h100"),
        ({"lepton": {"resource_shape": "gpu.9"}}, r"no resource shape gpu.9; there are cpu.large"),
        ({"lepton": {"mounts": ["node-nfs:no=/x"]}}, "no volume node-nfs:no; there are node-local"),
        ({"env": ["NO_SUCH"]}, "no secret NO_SUCH in the workspace"),
        ({"gpus": 99}, "no resource shape has 99 GPUs"),
        ({"mounts": [{"source": "/tmp", "target": "/x"}]}, "are of this machine"),
        ({"lepton": {"mounts": ["shared"]}}, "is not SOURCE"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_served_fails_with_the_reason(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int, changes: Any, says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("snakeval.executors.lepton.readiness.PATIENCE", 0.2)
    with pytest.raises(EvaluationError, match=says):
        serve(endpoints, served(tmp_path, port, **changes))
    endpoints.end(lambda text: None)
    assert Notes(RunDirectory(tmp_path / "run")).all() == []


def test_a_paused_workspace_and_an_expired_token_fail_with_the_reason(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    asked = served(tmp_path, port)
    token, lepton.workspace.token = lepton.workspace.token, "new"
    with pytest.raises(EvaluationError, match="the token is wrong or has expired; `lep login") as e:
        serve(endpoints, asked)
    assert token not in str(e.value)
    lepton.workspace.token, lepton.workspace.state = token, "paused"
    with pytest.raises(EvaluationError, match="the Lepton workspace standin is paused"):
        serve(endpoints, asked)


def test_with_a_new_token_of_the_workspace_it_is_adopted_for_its_jobs_have_its_key(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int, monkeypatch: Any
) -> None:
    asked = served(tmp_path, port)
    serve(endpoints, asked)
    kept = dict(lepton.workspace.secrets)
    lepton.workspace.token = "new"
    monkeypatch.setenv("LEPTON_WORKSPACE_TOKEN", "new")
    again = Endpoints(RunDirectory(tmp_path / "run"), Platform(backoff=()))
    assert any("adopts" in text for text in serve(again, asked))
    assert lepton.workspace.secrets == kept
    assert list(lepton.workspace.endpoints.loads.values()) == [1]
    again.end(lambda text: None)


def test_an_endpoint_whose_key_is_lost_is_deleted_and_created_again(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("snakeval.executors.lepton.readiness.PATIENCE", 0.2)
    asked = served(tmp_path, port)
    serve(endpoints, asked)
    lepton.workspace.secrets.clear()
    lepton.workspace.token = "new"
    monkeypatch.setenv("LEPTON_WORKSPACE_TOKEN", "new")
    again = Endpoints(RunDirectory(tmp_path / "run"), Platform(backoff=()))
    with pytest.raises(EvaluationError, match="created with another token of the workspace"):
        serve(again, asked)
    serve(again, asked)
    assert list(lepton.workspace.endpoints.loads.values()) == [2]
    again.end(lambda text: None)


def test_an_endpoint_that_is_being_deleted_is_created_again_afterwards(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    asked = served(tmp_path, port)
    serve(endpoints, asked)
    (old,) = lepton.workspace.endpoints.all.values()
    old.deleting = True
    goes = threading.Timer(0.5, lepton.workspace.endpoints.delete, [old])
    goes.start()
    told = serve(endpoints, asked)
    assert f"waits until {old.name} is deleted" in told
    assert f"made endpoint {old.name} (cpu.small)" in told
    endpoints.end(lambda text: None)
