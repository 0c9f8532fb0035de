"""A gateway that dies beside its harness."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from snakeval.demo.server import DemoServer
from snakeval.evaluation.attempts import AttemptDirectory, Failure
from snakeval.jobs.served_models import Serving
from snakeval.ledger.beside import Gateway
from support.asking import Asking

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_an_attempt_repeats_after_its_gateway_died(tmp_path: Path, server: DemoServer) -> None:
    job = Asking(tmp_path, server.url)
    (tmp_path / "kills").write_text("2")
    assert job() == (0, "")
    assert server.stats()["requests"] == 3
    assert (tmp_path / "kills").read_text() == "0"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_attempt_repeats_after_its_gateway_died_of_a_full_disk(
    tmp_path: Path, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def fail(attempt: AttemptDirectory, failure: Failure) -> None:
        refused.append(failure.reason)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(AttemptDirectory, "fail", fail)
    job = Asking(tmp_path, server.url)
    (tmp_path / "kills").write_text("1")
    assert job() == (0, "")
    assert (server.stats()["requests"], refused) == (3, ["lost its gateway"])


def test_an_evaluation_fails_if_its_gateway_dies_three_times_in_a_row(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url)
    (tmp_path / "kills").write_text("9")
    code, reason = job()
    assert code == 1
    assert reason.startswith("its gateway ended 3 times in a row")
    assert (tmp_path / "kills").read_text() == "6"


def test_a_gateway_that_died_is_found_after_its_harness_has_ended(
    tmp_path: Path, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a killed process can be seen later than the end of its connections."""
    ended = Event()
    leave, watch = Serving.leave, Gateway.watch

    def left(serving: Serving) -> None:
        leave(serving)
        ended.set()

    def watching(gateway: Gateway, lost: Callable[[str], None]) -> None:
        ended.wait(30)
        watch(gateway, lost)

    monkeypatch.setattr(Serving, "leave", left)
    monkeypatch.setattr(Gateway, "watch", watching)
    job = Asking(tmp_path, server.url)
    (tmp_path / "kills").write_text("1")
    assert job() == (0, "")
    assert (tmp_path / "kills").read_text() == "0"
