"""The stand-in itself, by the vendor's SDK and command: what others build on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from leptonai.api.v2.api_resource import ClientError
from leptonai.api.v2.client import APIClient, reset_new_deployment_api_flag_cache
from leptonai.api.v2.types.common import Metadata
from leptonai.api.v2.types.deployment import (
    AutoScaler,
    ContainerPort,
    EnvVar,
    LeptonContainer,
    LeptonDeployment,
    LeptonDeploymentUserSpec,
    ResourceRequirement,
    ScaleDown,
    TokenVar,
)
from leptonai.api.v2.types.secret import SecretItem

from standin import StandIn, status
from vendor import lep
from workflows import until

LEP = shutil.which("lep", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture(params=[False, True], ids=["deployments", "endpoints"])
def client(request: pytest.FixtureRequest, lepton: StandIn) -> APIClient:
    reset_new_deployment_api_flag_cache()
    lepton.workspace.new_endpoints = request.param
    workspace = lepton.workspace
    return APIClient(workspace.id, workspace.token, lepton.url)


def an_endpoint(command: str, idle: int | None = None) -> LeptonDeployment:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = LeptonDeploymentUserSpec(
        container=LeptonContainer(
            image="any/image",
            command=["sh", "-c", command.format(port=port)],
            ports=[ContainerPort(container_port=port)],
        ),
        resource_requirement=ResourceRequirement(
            resource_shape="gpu.1xh100-sxm", min_replicas=1, max_replicas=1
        ),
        auto_scaler=AutoScaler(scale_down=ScaleDown(no_traffic_timeout=idle)) if idle else None,
        api_tokens=[TokenVar(value="our-token")],
        envs=[EnvVar(name="A", value="1")],
    )
    return LeptonDeployment(metadata=Metadata(name="model"), spec=spec)


SERVE = f"exec {sys.executable} -m http.server {{port}} --bind 127.0.0.1"


def test_an_endpoint_gets_ready_checks_tokens_and_goes(client: APIClient, lepton: StandIn) -> None:
    made = client.deployment.create_with_response(an_endpoint(SERVE))
    assert made.metadata.name == "model"
    with pytest.raises(ClientError, match="409"):
        client.deployment.create_with_response(an_endpoint(SERVE))
    until(lambda: client.deployment.get("model").status.state.value == "Ready", "ready")
    url = client.deployment.get("model").status.endpoint.external_endpoint
    assert status(url, "our-token") == 200
    assert status(url, "other") == 401
    # Tokens are not shown again.
    assert client.deployment.get("model").spec.api_tokens[0].value == "***"
    assert client.deployment.delete("model")
    until(lambda: client.deployment.list_all() == [], "its end")
    family = "endpoints" if lepton.workspace.new_endpoints else "deployments"
    assert lepton.asked(f"POST /{family}")


def test_an_idle_endpoint_is_scaled_to_zero_and_does_not_wake_by_itself(
    client: APIClient, lepton: StandIn
) -> None:
    client.deployment.create_with_response(an_endpoint(SERVE, idle=1))
    until(lambda: client.deployment.get("model").status.phase.value == "Stopped", "stopped")
    assert client.deployment.get("model").status.state.value == "Not Ready"
    url = client.deployment.get("model").status.endpoint.external_endpoint
    assert status(url, "our-token") == 503
    change = LeptonDeploymentUserSpec(resource_requirement=ResourceRequirement(min_replicas=1))
    client.deployment.update("model", LeptonDeployment(spec=change))
    until(lambda: lepton.workspace.endpoints.loads["model"] == 2, "a second load")
    client.deployment.delete("model")


def test_a_crashing_endpoint_is_not_ready_and_has_a_reason(
    client: APIClient, lepton: StandIn
) -> None:
    client.deployment.create_with_response(an_endpoint("echo no GPU; exit 9"))
    until(lambda: client.deployment.get("model").status.state.value == "Not Ready", "not ready")
    if lepton.workspace.new_endpoints:
        assert "BackOff" in {event.reason for event in client.deployment.get_events("model")}
    else:
        ((ended, *_), *_) = client.deployment.get_termination("model").root.values()
        assert ended.exit_code == 9
    client.deployment.delete("model")


def test_secrets_are_named_and_never_shown(client: APIClient, lepton: StandIn) -> None:
    client.secret.create([SecretItem(name="hub", value="s3cr3t")])
    (secret,) = client.secret.list_all()
    assert (secret.name, secret.value) == ("hub", None)
    client.secret.delete("hub")
    assert client.secret.list_all() == []


@pytest.mark.skipif(LEP is None, reason="needs the command lep")
def test_the_vendors_command_lists_nodes_shapes_and_jobs(lepton: StandIn, tmp_path: Path) -> None:
    lepton.workspace.jobs.create(
        {"metadata": {"name": "smk-a"},
         "spec": {"resource_shape": "cpu.small",
                  "container": {"image": "any", "command": ["echo", "told"]}}}
    )  # fmt: skip
    until(lambda: lepton.jobs[0].state == "Completed", "its end")
    jobs, log, nodes, endpoints = lep(
        tmp_path,
        lepton.environment,
        ["job", "list"],
        ["job", "log", "--id", lepton.jobs[0].id],
        ["node", "list"],
        ["endpoint", "list"],
    )
    assert "smk-a" in jobs
    assert "told" in log
    assert "h100" in nodes
    assert "No endpoints found" in endpoints


def test_the_server_runs_alone_and_ends_on_a_signal(tmp_path: Path) -> None:
    file = tmp_path / "lepton.env"
    words = [sys.executable, "-m", "standin", "--runner", "process", "--env-file", str(file)]
    here = Path(__file__).parent
    process = subprocess.Popen(words, cwd=here, stdout=subprocess.DEVNULL)
    try:
        until(lambda: file.exists() and "TOKEN" in file.read_text(), "its variables")
        variables = dict(
            line.removeprefix("export ").split("=", 1) for line in file.read_text().splitlines()
        )
        client = APIClient(
            variables["LEPTON_WORKSPACE_ID"],
            variables["LEPTON_WORKSPACE_TOKEN"],
            variables["LEPTON_WORKSPACE_URL"],
        )
        assert client.info().workspace_name == "standin"
    finally:
        process.terminate()
        assert process.wait(300) == 0
