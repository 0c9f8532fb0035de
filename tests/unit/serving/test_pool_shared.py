"""The pool with a server that several checkpoints of a series share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError
from snakeval.evaluation.events import read
from snakeval.serving import client, engine
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from support import weights_server
from support.checkpoints import checkpoint
from support.machine import Machine, eventually, made, pool_here
from support.shared import swapped

COMMAND = (
    f"python3 {weights_server.__file__} {{{{ host }}}} {{{{ port }}}} {{{{ served_model_name }}}}"
    " {{ model }}"
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with made(tmp_path, monkeypatch) as machine, pool_here():
        yield machine


def plan(machine: Machine, fault: str = "", count: int = 2) -> list[str]:
    """Plan checkpoints that share a server; return their names."""
    names = []
    for number in range(count):
        name = f"run7@{number}"
        path = checkpoint(machine.run.parent / f"step-{number}", b"weights %d" % number)
        spec = {"runtime": "process", "gpus": 0, "command": f"{COMMAND} {fault}".strip()}
        deployment = swapped(path, **spec)
        evaluations = ((f"{name}/a", "0" * 64), (f"{name}/b", "0" * 64))
        directory = DeploymentDirectory.of(machine.directory, name)
        directory.define(Plan(name, number, deployment, evaluations))
        names.append(name)
    return names


def starts(machine: Machine) -> int:
    return len(list(machine.run.glob("*/deployment/server-*.log")))


def base(server: client.Served) -> str:
    return server.url.removesuffix("/v1/chat/completions")


def test_checkpoints_take_turns_at_one_server(machine: Machine) -> None:
    first, second = plan(machine)
    entered = Event()

    def evaluate() -> bool:
        with machine.serve(second, who="second") as servers:
            entered.set()
            return not servers.why_broken()

    with ThreadPoolExecutor() as thread:
        with machine.serve(first) as servers, machine.serve(first) as too:
            assert servers == too
            waiting = thread.submit(evaluate)
            eventually(lambda: any("other weights" in said for said in machine.heard), "no wait")
            with pytest.raises(client.Busy, match="other weights"):
                machine.serve(second, eager=True).__enter__()
            assert not entered.is_set()
            assert servers[first].version == too[first].version
            assert not servers.why_broken()
        assert waiting.result()
    with machine.serve(first) as servers:
        assert not servers.why_broken()
    assert starts(machine) == 1


def test_a_server_that_keeps_old_weights_starts_again(machine: Machine) -> None:
    first, second = plan(machine, "stale")
    with machine.serve(first):
        pass
    with machine.serve(second) as servers:
        assert not servers.why_broken()
    assert starts(machine) == 2
    assert any("starts again: it answers the canary as with" in said for said in machine.heard)
    events = read(DeploymentDirectory.of(machine.directory, first).events)
    events += read(DeploymentDirectory.of(machine.directory, second).events)
    doubted = [event.detail for event in events if event.phase == "doubted"]
    assert len(doubted) == 2
    assert "a cold start answers otherwise" in doubted[1]


def test_weights_of_another_hand_make_the_attempt_invalid(machine: Machine, tmp_path: Path) -> None:
    first, _ = plan(machine)
    other = checkpoint(tmp_path / "other", b"other weights")
    with machine.serve(first) as servers:
        engine.reload(base(servers[first]), str(other))
        assert servers.why_broken()
        assert servers.is_stale
    with machine.serve(first) as servers:
        assert not servers.why_broken()
    assert starts(machine) == 2


def test_a_checkpoint_that_is_gone_fails_alone(machine: Machine) -> None:
    first, second = plan(machine)
    shutil.rmtree(machine.run.parent / "step-1")
    with machine.serve(first) as servers:
        pass
    with pytest.raises(EvaluationError, match="gone"):
        machine.serve(second).__enter__()
    with machine.serve(first) as servers:
        assert not servers.why_broken()
    assert starts(machine) == 1
