"""The turns of clients at a server whose weights are swapped, or that loads adapters."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.run.directory import RunDirectory
from snakeval.serving.loading import Doubt
from snakeval.serving.plan import Plan
from snakeval.serving.pool_client import Client
from snakeval.serving.turns import Turns
from support.checkpoints import adapter, checkpoint, safetensors
from support.shared import added, swapped


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


class Clients(list[Client]):
    """Jobs that have the server of their plans."""

    def add(self, plan: Plan, *, eager: bool = False) -> Client:
        channel: Any = SimpleNamespace(send=lambda *message: None)
        run, head = RunDirectory("/run"), (1, "start")
        client = Client(channel, plan.name, run, head, (plan,), {}, eager, holds=True)
        self.append(client)
        return client


def full(path: Path) -> list[Plan]:
    return [
        Plan(f"run7@{n}", n, swapped(checkpoint(path / f"step-{n}", b"weights %d" % n)))
        for n in range(3)
    ]


def loras(path: Path) -> list[Plan]:
    plans = []
    for n in range(2):
        place = adapter(path / f"step-{n}")
        tensors = {"a.lora_B.weight": b"weights %d" % n}
        (place / "adapter_model.safetensors").write_bytes(safetensors(tensors))
        plans.append(Plan(f"run7@{n}", n, added(place)))
    return plans


def begin(turns: Turns, client: Client) -> None:
    """Give *client* its turn, after which the server has its weights."""
    (plan,) = client.plans
    loading = turns.of(plan)
    assert loading is not None
    client.turns[plan.deployment.server_id] = plan.deployment.weights
    if loading.needs_turn(plan.deployment):
        loading.current = plan.deployment.weights


def test_a_swap_waits_until_no_other_weights_are_in_use(tmp_path: Path) -> None:
    turns, clients = Turns(), Clients()
    first, second, _ = full(tmp_path)
    turns.start(first, lambda text: None)
    one, two, three = clients.add(first), clients.add(second), clients.add(first)
    assert turns.why_not_yet(two, second, clients).startswith("waits for evaluations of other")
    begin(turns, one)
    assert not turns.why_not_yet(three, first, clients)
    begin(turns, three)
    for done in (one, three):
        assert turns.why_not_yet(two, second, clients)
        clients.remove(done)
        turns.leave(done, clients)
    assert not turns.why_not_yet(two, second, clients)


def test_an_eager_client_swaps_nothing(tmp_path: Path) -> None:
    turns, clients = Turns(), Clients()
    first, second, _ = full(tmp_path)
    turns.start(first, lambda text: None)
    assert turns.why_not_yet(clients.add(second, eager=True), second, clients)
    assert not turns.why_not_yet(clients.add(first, eager=True), first, clients)


def test_adapters_share_a_turn_until_one_is_in_doubt(tmp_path: Path) -> None:
    turns, clients = Turns(), Clients()
    first, second = loras(tmp_path)
    assert first.deployment.server_id == second.deployment.server_id
    turns.start(first, lambda text: None)
    one, two = clients.add(first), clients.add(second)
    begin(turns, one)
    assert not turns.why_not_yet(two, second, clients)
    begin(turns, two)
    turns.doubt(two, second, Doubt("it answers as before"))
    assert turns.why_not_yet(two, second, clients).startswith("waits for evaluations of other")
    assert turns.why_not_yet(clients.add(first), first, clients).startswith("waits for a cold")
    assert turns.may_start([second])
    assert not turns.may_start([first])
    clients.remove(two)
    turns.leave(two, clients)
    assert turns.may_start([first])


def test_a_server_that_does_not_start_is_the_fault_of_one_checkpoint_at_first(
    tmp_path: Path,
) -> None:
    turns = Turns()
    first, second, third = full(tmp_path)
    turns.start(first, lambda text: None)
    server = first.deployment.server_id
    assert turns.failed(server, first.deployment.id)
    assert turns.failed(server, first.deployment.id)
    assert not turns.failed(server, second.deployment.id)
    turns.forget(server)
    assert not turns.failed(server, third.deployment.id)


def test_a_server_of_one_model_has_no_turns(tmp_path: Path) -> None:
    plan = Plan("m", 0, swapped(checkpoint(tmp_path / "m"), swap=False))
    turns, clients = Turns(), Clients()
    turns.start(plan, lambda text: None)
    assert turns.of(plan) is None
    assert not turns.why_not_yet(clients.add(plan), plan, clients)
    assert turns.may_start([plan])
