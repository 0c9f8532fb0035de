"""A stand-in for the service, and workflows that run on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_lepton.service import Service
from standin import StandIn
from workflows import Workflow

_HERE = Path(__file__).parent

# A shell ignores Ctrl-C for what it starts in the background, and each child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """``LEPTON_NO_SKIPS=1``: what cannot run is a failure, as in CI, where all is there."""
    told = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LEPTON_NO_SKIPS") != "1" or told is None:
        return
    # The session may have tests of other directories.
    skipped = [Path(str(each.longrepr[0])) for each in told.stats.get("skipped", [])]
    if any(file.is_relative_to(_HERE) for file in skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def lepton() -> Iterator[StandIn]:
    with StandIn("process") as standin:
        yield standin


@pytest.fixture
def service(lepton: StandIn, monkeypatch: pytest.MonkeyPatch) -> Service:
    for name, value in lepton.environment.items():
        monkeypatch.setenv(name, value)
    return Service(backoff=(0.01, 0.01, 0.01))


@pytest.fixture
def workflow(lepton: StandIn, tmp_path: Path) -> Workflow:
    return Workflow(tmp_path, lepton)
