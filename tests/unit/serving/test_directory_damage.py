"""Files of deployments that are damaged, gone or cannot be written, while the pool serves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.jobs import deploy
from snakeval.serving import client
from snakeval.serving.directory import DeploymentDirectory
from support.machine import Machine, eventually, made, pool_here, pool_pid

DAMAGE = [b"", b"{", b"{}", b"[]", b"null", b'"x"', b"\x00\xff\x00", b'{"name": 3, "rank": "x"}']
DAMAGE += [b'{"name": "x", "rank": 0, "deployment": "x", "evaluations": []}']
DAMAGE += [b'{"name": "x", "rank": 0, "deployment": {"serving": 3}, "evaluations": [["a"]]}']


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with made(tmp_path, monkeypatch) as machine, pool_here():
        yield machine


def directory(machine: Machine, name: str = "careful") -> DeploymentDirectory:
    return DeploymentDirectory.of(machine.directory, name)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_plan_is_an_error_and_the_next_command_writes_it_again(
    machine: Machine, damage: bytes
) -> None:
    machine.deploys("careful", "careful/a")
    plan = directory(machine).plan()
    directory(machine).plan_file.write_bytes(damage)
    with pytest.raises(EvaluationError, match="give the same command again"):
        machine.serve("careful").__enter__()
    assert not directory(machine).defines(plan)
    directory(machine).define(plan)
    assert directory(machine).plan() == plan
    assert directory(machine).defines(plan)


@pytest.mark.parametrize("damage", DAMAGE[:6])
def test_a_damaged_record_is_no_record(machine: Machine, damage: bytes) -> None:
    machine.deploys("careful")
    directory(machine).complete({"state": "ready", "seconds": 3})
    assert directory(machine).read_record()["seconds"] == 3
    directory(machine).record.write_bytes(damage)
    assert "seconds" not in directory(machine).read_record()


def test_a_plan_that_is_damaged_while_its_model_is_served_ends_no_server(
    machine: Machine,
) -> None:
    machine.deploys("careful", "careful/a")
    machine.deploys("sloppy", "sloppy/a")
    with machine.serve("careful") as first:
        directory(machine).plan_file.write_bytes(b"{")
        with machine.serve("sloppy", eager=True) as second:  # which looks at all plans
            time.sleep(1.5)  # a tick
            assert not first.why_broken()
            assert not second.why_broken()
    status = client.status()
    assert status is not None
    assert {server["model"] for server in status["servers"]} >= {"sloppy"}


def test_the_pool_outlives_the_run_that_it_serves(machine: Machine) -> None:
    machine.deploys("careful", "careful/a")
    with machine.serve("careful") as servers:
        shutil.rmtree(machine.run)
        time.sleep(1.5)  # a tick
        assert not servers.why_broken()
    assert client.leave(machine.head) == {"careful": 1}


@pytest.mark.haproxy
@pytest.mark.parametrize("name", ["proxy", "instance-0", ""])
def test_a_group_that_cannot_write_its_files_has_a_reason(machine: Machine, name: str) -> None:
    machine.deploys("careful", "careful/a", instances=2)
    place = directory(machine).path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file in the place of a directory")
    with pytest.raises(EvaluationError, match=r"Not a directory|File exists"):
        machine.serve("careful").__enter__()
    eventually(lambda: not servers_left(), "a server is left")


def servers_left() -> list[object]:
    status = client.status()
    return [] if status is None else status["servers"]


def test_garbage_on_the_socket_ends_no_server(
    machine: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.deploys("careful", "careful/a")
    with machine.serve("careful") as servers:
        for garbage in (b"\n", b"{\n", b"[]\n", b'{"do": "serve"}\n', b'{"do": 3}\n', b"\xff\n"):
            channel = client.connect()
            channel._socket.sendall(garbage)
            with pytest.raises(EOFError):
                channel.receive(10)
            channel.close()
        assert not servers.why_broken()
        assert pool_pid() > 0
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_job_that_deploys_reports_a_damaged_plan(
    machine: Machine, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.deploys("careful", "careful/a")
    directory(machine).plan_file.write_bytes(damage)
    assert deploy.main([directory(machine).output]) == 1
    assert "give the same command again" in capsys.readouterr().err
    assert "give the same command again" in directory(machine).failure_reason()
