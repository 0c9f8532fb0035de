"""A fault at each call that an endpoint's life makes, in turn: it ends served, adopted and gone.

A fault that passes is not noticed. One that lasts is told in one sentence, and when it is over the
same call again does the rest. ``LEPTON_EVERY_CALL=1`` tries each kind at every call; else they
share the calls out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from leptonai.api.v2.client import reset_new_deployment_api_flag_cache
from standin import Fault, StandIn

from snakeval.errors import EvaluationError
from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.executors.lepton.notes import Notes
from snakeval.run.directory import RunDirectory
from support.lepton import free_port, served, standin
from support.served import wait_for

FAULTS: dict[str, dict[str, Any]] = {
    "refused for a moment": {"status": 429, "headers": {"Retry-After": "0.05"}},
    "an error before the effect": {"status": 500},
    "an error after the effect": {"status": 503, "when": "after"},
    "a lost answer": {"when": "drop"},
    "no answer in time": {"when": "after", "delay": 8.0},
    "an answer that is not JSON": {"status": 200, "when": "after", "body": "<html>"},
    "an answer of another kind": {"status": 200, "when": "after", "body": "null"},
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Any]:
    """Start a stand-in whose endpoints have one of the two families of routes."""
    monkeypatch.setattr("snakeval.executors.lepton.readiness.POLL", 0.05)
    monkeypatch.setattr("leptonai.api.v2.client._FLAG_RESOLVE_RETRIES", 0)
    monkeypatch.setattr("leptonai.api.v2.client._FLAG_RESOLVE_REQUEST_TIMEOUT_SECONDS", 0.5)
    return lambda new_endpoints: standin(monkeypatch, new_endpoints)


class Life:
    """An endpoint that is made, adopted by a next head, and deleted by one more."""

    def __init__(self, directory: Path, lepton: StandIn, lasts: bool) -> None:
        directory.mkdir()
        # Where a fault passes it shall not be noticed, however slow this machine is.
        self.patience = {"backoff": (0.02,), "timeout": 2.0} if lasts else {
            "backoff": (0.02, 0.02), "timeout": 6.0,
        }  # fmt: skip
        self.run = RunDirectory(directory / "run")
        self.plan = served(directory, free_port(), lepton={"node_group": "h100"})
        self.lepton = lepton
        self.errors: list[str] = []

    def lead(self) -> None:
        for step in (self._serve, self._serve, self._end):
            self._again_until_done(step)

    def _again_until_done(self, step: Callable[[Endpoints], None]) -> None:
        for _ in range(3):
            try:
                return step(Endpoints(self.run, Platform(**self.patience)))
            except EvaluationError as error:
                self.errors.append(str(error))
                self.lepton.faults.clear()  # it is over
        raise AssertionError(self.errors)

    def _serve(self, endpoints: Endpoints) -> None:
        endpoints.serve(self.plan, Event(), lambda text: None)
        # The next head is another process.
        reset_new_deployment_api_flag_cache()

    def _end(self, endpoints: Endpoints) -> None:
        told: list[str] = []
        endpoints.end(told.append)
        if Notes(self.run).all():
            raise EvaluationError(told[-1])

    def problems(self) -> list[str]:
        """What is not as it should be at the end."""
        workspace = self.lepton.workspace
        wait_for(lambda: not workspace.endpoints.all, "an endpoint is left")
        loads = list(workspace.endpoints.loads.values())
        found = [f"loads {loads}"] if loads != [1] else []
        found += [f"secrets {workspace.secrets}"] if workspace.secrets else []
        # One sentence, of what did not work.
        return found + [e for e in self.errors if "could not " not in e or len(e) > 300]


@pytest.mark.parametrize("lasts", [False, True], ids=["passes", "lasts"])
@pytest.mark.parametrize("new", [False, True], ids=["deployments", "endpoints"])
def test_a_fault_at_any_call_makes_no_second_endpoint_and_leaves_none(
    start: Callable[[bool], Any], tmp_path: Path, new: bool, lasts: bool
) -> None:
    every = os.environ.get("LEPTON_EVERY_CALL") == "1"
    problems: list[str] = []
    asked: list[str] = []
    for number in count():
        kinds = list(FAULTS) if every else _share(number, 2 * new + lasts)
        for kind in kinds:
            with start(new) as lepton:
                times = 10**6 if lasts else 1
                lepton.faults.add(Fault(".", skip=number, times=times, **FAULTS[kind]))
                life = Life(tmp_path / f"{number}-{[*FAULTS].index(kind)}", lepton, lasts)
                life.lead()
                found = life.problems()
                if not lasts and life.errors:
                    found.append(f"noticed: {life.errors}")
            asked = lepton.asked(".")
            if number < len(asked):
                problems += [f"{kind} at call {number} ({asked[number]}): {p}" for p in found]
        if asked and number >= len(asked):
            break
    assert problems == []
    assert number >= 18


def _share(number: int, turn: int) -> list[str]:
    """The kind to try at a call, if it is the turn's."""
    return [list(FAULTS)[(number // 4 + 2 * turn) % len(FAULTS)]] if number % 4 == turn else []
