"""A run's deployments on this machine, served by a pool of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from snakeval.config import models
from snakeval.processes import process_lives
from snakeval.run.directory import RunDirectory
from snakeval.serving import client, supervisor
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from snakeval.serving.pool import LINGER, Pool
from snakeval.serving.resolve import resolve
from snakeval.serving.vigil import PATIENCE, Patience
from snakeval.serving.wire import address, listen, peer
from support import forks
from support.limits import HUNG

SERVE = (
    "python3 -m snakeval.demo.server --host {{ host }} --port {{ port }} "
    "--models {{ served_model_name }}"
)


class Machine:
    """A run's deployments on this machine, and a head that asks for them."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.directory = RunDirectory(run)
        self.head = client.head_of(os.getpid())
        self.heard: list[str] = []
        self.lost: list[str] = []
        self._ranks = iter(range(100))

    def deploys(self, name: str, *evaluations: str, **spec: Any) -> None:
        """Plan a deployment whose evaluations are not done yet."""
        spec = {"kind": "generic", "runtime": "process", "command": SERVE} | spec
        deployment = resolve(name, models.Deployment(**spec), "host")
        planned = tuple((evaluation, "0" * 64) for evaluation in evaluations)
        plan = Plan(name, next(self._ranks), deployment, planned)
        DeploymentDirectory.of(self.directory, name).define(plan)

    def serve(self, *names: str, **options: Any) -> AbstractContextManager[client.Servers]:
        defaults: dict[str, Any] = {
            "who": "a test",
            "head": self.head,
            "stop": Event(),
            "report": lambda event: self.heard.append(event.detail),
            "lost": self.lost.append,
        }
        return client.serve(self.directory, names, **(defaults | options))


@contextmanager
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Have it while the context lasts; afterwards nothing of its pool is left."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SNAKEVAL_GPUS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setattr(client, "subprocess", forks.module())
    made = Machine(tmp_path / "run")
    yield made
    client.leave(made.head)
    left = [p.pid for p in psutil.process_iter() if str(tmp_path) in _home_of(p)]
    eventually(lambda: not any(map(process_lives, left)), "a process is left")


@contextmanager
def pool_here(
    patience: Patience = PATIENCE, linger: Mapping[str, float] = LINGER
) -> Iterator[Pool]:
    """Have a pool in this process, which nothing starts and ends but the context."""
    listening, stop, pool = listen(), Event(), Pool(patience, linger)
    assert listening is not None
    with listening:
        thread = Thread(target=supervisor.work, args=(pool, listening, stop))
        thread.start()
        try:
            yield pool
        finally:
            stop.set()
            thread.join()


def pool_pid() -> int:
    """The pid of the process that has the pool's address."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address())
        return peer(connection)[0]


def port_of(server: client.Served) -> int:
    return int(server.url.split("/")[2].rpartition(":")[2])


def pid_of(server: client.Served) -> int:
    """The pid of the process that listens on the server's port."""
    port = port_of(server)
    return next(
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == "LISTEN" and c.laddr[1] == port and c.pid
    )


def _home_of(process: psutil.Process) -> str:
    try:
        ours = "snakeval.serving.supervisor" in " ".join(process.cmdline())
        return process.environ().get("SNAKEVAL_HOME", "") if ours else ""
    except psutil.Error:
        return ""


def lines(processes: Sequence[psutil.Process]) -> list[str]:
    """The command lines of those that have not ended."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()))
    return found


def eventually(condition: Callable[[], object], what: str, seconds: float = HUNG) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)
