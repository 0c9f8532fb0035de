"""The wait for an endpoint: for a node, for the container, for the model."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from standin import Fault, StandIn

from snakeval.errors import EvaluationError
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.serving.plan import Plan
from support.lepton import served


def serve(endpoints: Endpoints, asked: Plan) -> list[str]:
    told: list[str] = []
    endpoints.serve(asked, Event(), told.append)
    return told


def test_waiting_for_a_node_is_no_failure(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    # As Kubernetes has it of pods that no node has room for.
    event = {"type": "Warning", "reason": "FailedScheduling", "regarding": {}, "count": 99}
    event["last_observed_time"] = "2026-01-01T00:00:00Z"
    queued = json.dumps([event])
    # The second look at the events finds a node: until then, the server does not start.
    found = tmp_path / "node"
    lepton.faults.add(Fault("GET .*/events", status=200, body=queued))
    lepton.faults.add(Fault("GET .*/events", befalls=lambda _: found.touch(), times=10**6))
    asked = served(tmp_path, port)
    start = f"until [ -e {found} ]; do sleep 0.1; done; {asked.deployment.definition.command}"
    serve(endpoints, served(tmp_path, port, command=start))
    assert found.exists()
    endpoints.end(lambda text: None)


def test_the_kubelets_events_of_a_missing_image_are_the_reason(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    lepton.workspace.vocabulary = "kubelet"
    with pytest.raises(EvaluationError, match=r"or its container cannot be created \(Failed\)"):
        serve(endpoints, served(tmp_path, port, image="missing/image"))


def readiness_of(lepton: StandIn, reason: str) -> None:
    """Let the older routes report *reason* of a replica, and no event."""
    told = {"r": [{"reason": reason, "message": "", "creationTimestamp": "2026-01-01T00:00:00Z"}]}
    for route, body in (("readiness", json.dumps(told)), ("events", "[]")):
        lepton.faults.add(Fault(f"GET .*/{route}", status=200, body=body, times=10**6))
    lepton.faults.add(Fault("GET .*/termination", status=200, body="{}", times=10**6))


@pytest.mark.parametrize("lepton", [False], ids=["deployments"], indirect=True)
def test_a_refused_definition_of_the_older_routes_is_the_reason(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("snakeval.executors.lepton.readiness.REFUSED", 0.2)
    readiness_of(lepton, "ConfigError")
    with pytest.raises(EvaluationError, match=r"its definition cannot be run \(ConfigError\)"):
        serve(endpoints, served(tmp_path, port, image="missing/image"))


@pytest.mark.parametrize("lepton", [False], ids=["deployments"], indirect=True)
def test_the_wait_for_a_node_has_its_own_limit(
    endpoints: Endpoints, lepton: StandIn, tmp_path: Path, port: int
) -> None:
    readiness_of(lepton, "NoCapacity")
    options = {"queue_timeout": 1}
    asked = served(tmp_path, port, image="missing/image", lepton=options, readiness_timeout=600)
    with pytest.raises(EvaluationError, match="has waited for a node for 1 s; choose another node"):
        serve(endpoints, asked)
