"""An endpoint of Lepton's stand-in, with each of the two families of routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standin import StandIn

from snakeval.executors.lepton.api import Platform
from snakeval.executors.lepton.endpoints import Endpoints
from snakeval.run.directory import RunDirectory
from support.lepton import free_port, standin


@pytest.fixture(params=[False, True], ids=["deployments", "endpoints"])
def lepton(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr("snakeval.executors.lepton.readiness.POLL", 0.1)
    with standin(monkeypatch, request.param) as started:
        yield started


@pytest.fixture
def endpoints(lepton: StandIn, tmp_path: Path) -> Endpoints:
    return Endpoints(RunDirectory(tmp_path / "run"), Platform(backoff=(0.05, 0.05)))


@pytest.fixture
def port() -> int:
    return free_port()
