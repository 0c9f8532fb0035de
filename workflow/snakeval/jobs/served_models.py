"""Serves the models that an evaluation asks, and notices the loss of a server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import events
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs.attempt_log import AttemptLog
from snakeval.run.directory import RunDirectory

if TYPE_CHECKING:
    from snakeval.serving import client


class Serving:
    """The servers of an evaluation's models while its harness runs.

    Attributes:
        servers: the servers by name, and the harness's own GPUs; None without either.
        halt: ends the harness: the job stops, or a server is lost for good. It stays unset if the
            harness ends by itself, because a gateway that ended before it is then reported.
        over: ends each wait for a server: set with ``halt``, and when the harness has ended.
        lost: is set if a server is lost for good.
        losses: how often servers were lost while the harness waited at its gateway.
        move: takes the name and the new URL of a model whose server started again. While it is
            None, the loss of a server ends the harness.
    """

    def __init__(
        self, stop: Event, log: AttemptLog, on_loss: Callable[[], None] = lambda: None
    ) -> None:
        self.servers: client.Servers | None = None
        self.halt, self.over, self.lost = Event(), Event(), Event()
        self.losses = 0
        self.move: Callable[[str, str], None] | None = None
        self._stop, self._log, self._on_loss = stop, log, on_loss
        self._left = Event()
        # The job's thread and the one that hears the pool may notice one loss.
        self._losing = threading.Lock()

    def lose(self, reason: str) -> None:
        """End the harness, because a server is lost."""
        with self._losing:
            if not (self._left.is_set() or self.lost.is_set()):
                try:
                    self._on_loss()
                    self._tell(reason)
                finally:  # also if the disk is full
                    self.lost.set()
                    self.end()

    def end(self) -> None:
        """End the harness, and each wait for a server."""
        self.halt.set()
        self.over.set()

    def _tell(self, reason: str) -> None:
        self._log.tell(events.Event("lost", detail=f"lost its model server: {reason}"))

    def show(self, servers: client.Servers) -> None:
        """Write to the log which servers there are."""
        self.servers = servers
        if servers.gpus:
            self._log.say(f"the harness has the GPUs {','.join(servers.gpus)}")
        for name, server in servers.items():
            text = f"{name} is served at {server.url} ({server.runtime})"
            self._log.say(f"{text} [log: {server.log}]")
            self._log.journal.add(server.event(name, text))

    def replace(self, reason: str, serve: Callable[[], client.Servers]) -> None:
        """Get the servers again after a loss, while the harness waits at its gateway.

        A harness with GPUs of its own ends instead: its GPUs belong to the lost connection.
        """
        move = self.move
        if move is None or (self.servers is not None and self.servers.gpus):
            self.lose(reason)
            return
        if self._left.is_set() or self._stop.is_set():
            return
        self.losses += 1
        self._tell(f"{reason}; the requests wait until it is served again")
        try:
            servers = serve()
        except Interrupted:
            return
        except EvaluationError as error:
            self.lose(str(error))
            return
        self.show(servers)
        for name, server in servers.items():
            move(name, server.url)

    @contextlib.contextmanager
    def passing_on(self) -> Iterator[None]:
        """Set *halt* soon after *stop*, in the context."""

        def pass_on() -> None:
            while not self._left.wait(0.1):
                if self._stop.is_set():
                    self.end()

        threading.Thread(target=pass_on, daemon=True).start()
        try:
            yield
        finally:
            self._left.set()

    def leave(self) -> None:
        """Note that the harness has ended, so that no loss matters any more."""
        self._left.set()
        self.over.set()

    @property
    def has_left(self) -> bool:
        """Whether the harness has ended."""
        return self._left.is_set()


@contextlib.contextmanager
def serve_models(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    head: int,
    stop: Event,
    log: AttemptLog,
    on_loss: Callable[[], None] = lambda: None,
) -> Iterator[Serving]:
    """Serve the models that the evaluation asks.

    The harness also gets its own GPUs from the pool, which keeps one account of all GPUs. *on_loss*
    is called before the harness can notice that its server is lost to snakeval.
    """
    serving = Serving(stop, log, on_loss)
    gpus = evaluation.transport.resources.get("gpus") or 0
    names = tuple(name for name in evaluation.transport.servers if evaluation.transport.asks(name))
    if not (names or gpus):
        with serving.passing_on():
            yield serving
        return
    from snakeval.serving import client

    _check_deployments(evaluation, RunDirectory.of(directory))
    # A lost connection to the pool stays open until the end, and so does each that follows it.
    with contextlib.ExitStack() as connections, serving.passing_on():

        def serve() -> client.Servers:
            servers = connections.enter_context(
                client.serve(
                    RunDirectory.of(directory),
                    names,
                    who=evaluation.id,
                    head=client.head_of(head),
                    stop=serving.over,
                    report=log.tell,
                    lost=lambda reason: serving.replace(reason, serve),
                    gpus=gpus,
                )
            )
            if serving.has_left:  # meanwhile, in another thread
                connections.close()
            return servers

        serving.show(serve())
        try:
            yield serving
        finally:
            serving.leave()


def _check_deployments(evaluation: Evaluation, run: RunDirectory) -> None:
    """Check that the run deploys the models as they are in the definition of *evaluation*.

    Raises:
        EvaluationError: a later command has changed a deployment while the evaluation waited.
    """
    from snakeval.serving.directory import DeploymentDirectory

    for name in evaluation.transport.servers:
        if not DeploymentDirectory.of(run, name).plan().serves(evaluation):
            raise EvaluationError(
                f"another command has changed the deployment of {name}; give your command again"
            )
