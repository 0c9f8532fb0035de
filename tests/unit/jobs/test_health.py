"""A finished job records the health of the answers behind its scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.evaluation.health import HEALTH_VERSION, Health
from support.asking import Asking

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def server() -> DemoServer:
    with serve() as each:
        yield each


def health(job: Asking) -> Health:
    return Health.read(json.loads(job.directory.published.read_text()).get("health"))


def test_the_record_has_the_health_of_the_answers(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url)
    assert job() == (0, "")
    found = health(job)
    assert found.version == HEALTH_VERSION
    assert found.models["m"].answered == 3
    assert found.models["m"].given_up == 0
    done = job.directory.completion(job.evaluation.fingerprint)
    assert done is not None
    assert Health.read(done.health) == found


def test_without_a_gateway_health_is_unknown(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url, ledger="off")
    assert job() == (0, "")
    assert health(job).unknown == "its ledger is off"
