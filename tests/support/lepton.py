"""What tests of Lepton serve: a model that starts at once, as endpoints of the stand-in."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from leptonai.api.v2.client import APIClient, reset_new_deployment_api_flag_cache
from leptonai.api.v2.types.common import Metadata
from leptonai.api.v2.types.deployment import EnvValue, EnvVar, LeptonContainer
from leptonai.api.v2.types.job import LeptonJob, LeptonJobUserSpec
from standin import StandIn

from snakeval.executors.lepton import EVALUATION, RUN
from snakeval.matrix.expand import deployments
from snakeval.serving.plan import Plan
from support.configs import COMMAND, config

#: Lists the model `careful`; the demo's server would take a second to start.
_SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "careful"}]}).encode())
    do_HEAD = do_GET
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def standin(monkeypatch: pytest.MonkeyPatch, new_endpoints: bool = False) -> Iterator[StandIn]:
    """A stand-in that this process's clients find, with one of the two families of routes."""
    reset_new_deployment_api_flag_cache()
    with StandIn("process") as started:
        started.workspace.new_endpoints = new_endpoints
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


def submitted(run: Path, evaluation: str, command: str = "sleep 1800", key: str = "") -> str:
    """A job as the executor makes it for an evaluation; return its id.

    It asks the endpoint whose secret is *key*.
    """
    note = run / evaluation / "evaluation.json.job"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("{}")
    asks = [EnvVar(name="API_KEY", value_from=EnvValue(secret_name_ref=key))] if key else []
    made = APIClient().job.create(
        LeptonJob(
            metadata=Metadata(name=f"smk-evaluate-{evaluation.replace('/', '-')}"),
            spec=LeptonJobUserSpec(
                resource_shape="cpu.small",
                container=LeptonContainer(image="any/image", command=["sh", "-c", command]),
                envs=[
                    EnvVar(name=RUN, value=run.name),
                    EnvVar(name=EVALUATION, value=evaluation),
                    *asks,
                ],
                ttl_seconds_after_finished=600,
            ),
        )
    )
    return str(made.metadata.id_)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served(directory: Path, port: int, **changes: Any) -> Plan:
    """The plan of the model `m`; *directory* gets its server and its configuration."""
    (directory / "server.py").write_text(_SERVER)
    deployment = {
        "kind": "generic",
        "image": "any/image",
        "command": f"exec {sys.executable} -S {directory}/server.py {{{{ port }}}}",
        "served_model_name": "careful",
        "port": port,
        "readiness_timeout": 60,
        "max_restarts": 0,
    } | changes
    settings = {
        "models": {"m": {"deployment": deployment}},
        "benchmarks": {"b": {**COMMAND, "image": "any/image"}},
    }
    return Plan("m", 0, deployments(config(directory, settings))["m"])
