"""Containers ask their models through the gateway; a probe finds out if they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.jobs import gateway
from snakeval.run.directory import RunDirectory
from support.asking import KEY, Asking

PYTHON, BUSYBOX = "snakeval-testbed/python:3.11-slim", "snakeval-testbed/busybox"

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("in_this_process")]


def probes(job: Asking) -> int:
    return len(list(RunDirectory.of(job.directory).probe("any").parent.glob("*")))


@pytest.mark.parametrize("network", ["host", "bridge"])
def test_a_container_asks_through_the_gateway_and_never_has_the_key(
    tmp_path: Path, locked: DemoServer, network: str
) -> None:
    same = {"key": "MY_KEY", "image": PYTHON, "runtime": "docker", "network": network}
    job = Asking(tmp_path, locked.url, dies=2, **same)
    assert job()[0] == 1
    assert KEY not in job.environ.values()
    assert len(job.environ["API_KEY"]) == 32
    assert (locked.stats()["requests"], probes(job)) == (2, 1)
    job.lives()
    assert job() == (0, "")
    assert (locked.stats()["requests"], probes(job)) == (3, 1)


def test_an_endpoint_without_a_key_is_asked_through_the_bridge(tmp_path: Path) -> None:
    with serve() as server:
        job = Asking(tmp_path, server.url, image=PYTHON, runtime="docker", network="bridge")
        assert job() == (0, "")
        assert server.stats()["requests"] == 3


@pytest.mark.parametrize("ledger", ["memory", "off"])
def test_a_container_asks_without_a_journal(
    tmp_path: Path, locked: DemoServer, ledger: str
) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY", image=PYTHON, runtime="docker", ledger=ledger)
    assert job() == (0, "")
    assert (job.environ["API_KEY"] == KEY) == (ledger == "off")
    assert job.stored == []
    assert (locked.stats()["requests"], probes(job)) == (3, ledger == "memory")


def test_a_container_gets_no_answers_of_another_model_of_its_models_name(tmp_path: Path) -> None:
    same = {"image": PYTHON, "runtime": "docker"}
    with serve() as first, serve() as other:
        job = Asking(tmp_path, first.url, dies=2, **same)
        assert job()[0] == 1
        job.redefine(other.url, **same)
        assert job() == (0, "")
        assert (first.stats()["requests"], other.stats()["requests"]) == (2, 3)


def test_a_gateway_that_a_container_cannot_reach_is_the_reason(
    tmp_path: Path, locked: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "bridge_address", lambda runtime: "127.0.0.1")
    job = Asking(
        tmp_path, locked.url, key="MY_KEY", image=PYTHON, runtime="docker", network="bridge"
    )
    code, reason = job()
    assert code == 1
    assert reason.startswith(f"containers of {PYTHON} cannot connect to the ledger's gateway")
    assert "Connection refused); allow" in reason
    assert reason.endswith("or set ledger: off")
    assert locked.stats()["requests"] == probes(job) == 0


def test_a_container_that_starts_too_late_fails_no_evaluation(
    tmp_path: Path, locked: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.jobs.probe._START_SECONDS", 0.0)
    job = Asking(tmp_path, locked.url, key="MY_KEY", image=PYTHON, runtime="docker")
    assert job() == (0, "")
    assert probes(job) == 0


def test_an_image_without_a_program_that_connects_is_not_probed(
    tmp_path: Path, locked: DemoServer
) -> None:
    job = Asking(tmp_path, locked.url, key="MY_KEY", image=BUSYBOX, runtime="docker")
    code, reason = job()
    assert code == 1, "there is no python3 for the harness either"
    log = job.directory.attempt_log(1).read_text()
    assert "has no python3 and no bash to check the way to the gateway" in log
    assert "its gateway received no request; if it cannot connect, set ledger: off" in reason
