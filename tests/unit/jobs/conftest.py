"""Jobs that run in the tests' process, and an endpoint with a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.jobs import run_job
from support.asking import KEY


@pytest.fixture
def in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, the endpoint's key, and no handlers of signals: pytest has its own."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """An endpoint without a key."""
    with serve() as each:
        yield each


@pytest.fixture
def locked() -> Iterator[DemoServer]:
    """An endpoint that requires the key."""
    with serve(api_key=KEY) as each:
        yield each
