"""The models that an evaluation asks while it runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from snakeval.errors import EvaluationError
from snakeval.evaluation.events import Journal
from snakeval.evaluation.events import read as read_events
from snakeval.jobs.attempt_log import AttemptLog, attempt_log
from snakeval.jobs.evaluate import read
from snakeval.jobs.served_models import serve_models
from snakeval.serving import client
from snakeval.serving.wire import Channel
from support.invocations import SERVER, matrix, serving
from support.limits import HUNG
from support.made import begin


def test_an_evaluation_asks_no_server_of_another_definition_that_a_later_command_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    earlier = matrix(tmp_path, serving())
    earlier.save()
    models = {"m": {"deployment": SERVER | {"extra_args": "--hot"}}, "n": {"deployment": SERVER}}
    later = matrix(tmp_path, serving(models=models))
    later.save()
    assert later.run == earlier.run
    waits = earlier.invocation.evaluation("m", "b")
    directory = earlier.invocation.directory.evaluation(waits.id)
    evaluation = read(directory, waits.fingerprint)
    assert evaluation.identity.deployment["extra_args"] == "", "the job has its own definition"
    assert read(directory, later.invocation.evaluation("m", "b").fingerprint) != evaluation
    begin(directory, waits.fingerprint)
    with (
        attempt_log(directory, evaluation.id, Journal(directory.events, 1)) as log,
        pytest.raises(EvaluationError, match="another command has changed the deployment of m;"),
        serve_models(evaluation, directory, os.getpid(), Event(), log),
    ):
        pass


class Attempt:
    """An attempt whose model is served by a pool that the test plays."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SNAKEVAL_HOME", str(directory / "home"))
        opened = matrix(directory, serving())
        opened.save()
        self.evaluation = opened.invocation.evaluation("m", "b")
        self.directory = opened.invocation.directory.evaluation(self.evaluation.id)
        begin(self.directory, self.evaluation.fingerprint)
        self.journal = Journal(self.directory.events, 1)
        here, there = socket.socketpair()
        self.pool, channel = Channel(there), Channel(here)
        server = client.Served("http://127.0.0.1:1", "process", "", (), "server.log")
        servers = client.Servers({"m": server}, channel=channel)
        monkeypatch.setattr(client, "_acquire", lambda *_: (channel, servers))

    def loses(self) -> None:
        """The pool reports the loss of the server."""
        self.pool.send({"event": "lost", "reason": "it died"})

    def serve(self, log: AttemptLog, on_loss: Callable[[], None]) -> AbstractContextManager[Any]:
        return serve_models(self.evaluation, self.directory, os.getpid(), Event(), log, on_loss)

    @property
    def log(self) -> str:
        return self.directory.attempt_log(1).read_text()


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    return Attempt(tmp_path, monkeypatch)


def test_a_loss_that_is_heard_at_the_end_of_an_attempt_is_noted_before_its_log_is_closed(
    attempt: Attempt,
) -> None:
    noticed, ended = Event(), Event()

    def on_loss() -> None:
        noticed.set()
        ended.wait(0.5)  # the attempt would end here if it did not wait for this thread

    with attempt_log(attempt.directory, "m/b", attempt.journal) as log:
        with attempt.serve(log, on_loss) as served:
            attempt.loses()
            assert noticed.wait(HUNG)
        assert served.lost.is_set()
    ended.set()
    assert attempt.log.endswith("snakeval: lost its model server: it died\n")
    assert read_events(attempt.directory.events)[-1].phase == "lost"


def test_the_end_of_an_attempt_is_no_loss(attempt: Attempt) -> None:
    losses: list[str] = []
    with (
        attempt_log(attempt.directory, "m/b", attempt.journal) as log,
        pytest.raises(ZeroDivisionError),
        attempt.serve(log, lambda: losses.append("lost")) as served,
    ):
        raise ZeroDivisionError
    assert not losses
    assert not served.lost.is_set()
    assert served.over.is_set()
    assert not served.halt.is_set(), "a gateway that died before the harness would not be reported"
    with pytest.raises(EOFError):
        served.servers.channel.receive()


def test_a_loss_that_cannot_be_noted_fails_the_attempt(attempt: Attempt) -> None:
    def on_loss() -> None:
        raise OSError(28, "full")

    def run(log: AttemptLog) -> None:
        with attempt.serve(log, on_loss) as served:
            events.append(served.lost)
            attempt.loses()
            assert served.halt.wait(HUNG)

    events: list[Event] = []
    with attempt_log(attempt.directory, "m/b", attempt.journal) as log:
        with pytest.raises(OSError, match="full"):
            run(log)
        assert events[0].is_set()
