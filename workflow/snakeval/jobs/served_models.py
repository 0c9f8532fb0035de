"""Serves the models that an evaluation asks, and notices the loss of a server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING

from snakeval.errors import EvaluationError
from snakeval.evaluation import events
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs.attempt_log import AttemptLog
from snakeval.run.directory import RunDirectory

if TYPE_CHECKING:
    from snakeval.serving import client


@contextlib.contextmanager
def serve_models(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    head: int,
    stop: Event,
    log: AttemptLog,
    on_loss: Callable[[], None] = lambda: None,
) -> Iterator[tuple[client.Servers | None, Event, Event, Callable[[str], None]]]:
    """Serve the models that the evaluation asks; yield the servers and two events.

    The harness also gets its own GPUs from the pool, which keeps one account of all GPUs.

    The first event ends the harness: *stop* is set, or a server is lost. The second event is set
    only if a server is lost; the function that comes last sets it, with the reason. *on_loss* is
    called before the harness can notice that its server is lost to snakeval.
    """
    gpus = evaluation.transport.resources.get("gpus") or 0
    if not (evaluation.transport.servers or gpus):
        yield None, stop, Event(), lambda reason: None
        return
    from snakeval.serving import client

    _check_deployments(evaluation, RunDirectory.of(directory))
    halt, lost, left = Event(), Event(), Event()
    losing = threading.Lock()  # this thread and the one that hears the pool may notice one loss

    def lose(reason: str) -> None:
        with losing:
            if not (left.is_set() or lost.is_set()):
                try:
                    on_loss()
                    log.tell(events.Event("lost", detail=f"lost its model server: {reason}"))
                finally:  # also if the disk is full
                    lost.set()
                    halt.set()

    def pass_on() -> None:
        while not left.wait(0.1):
            if stop.is_set():
                halt.set()

    threading.Thread(target=pass_on, daemon=True).start()
    try:
        with client.serve(
            RunDirectory.of(directory),
            evaluation.transport.servers,
            who=evaluation.id,
            head=client.head_of(head),
            stop=stop,
            report=log.tell,
            lost=lose,
            gpus=gpus,
        ) as servers:
            _note(servers, log)
            yield servers, halt, lost, lose
            left.set()
    finally:
        left.set()


def _note(servers: client.Servers, log: AttemptLog) -> None:
    if servers.gpus:
        log.say(f"the harness has the GPUs {','.join(servers.gpus)}")
    for name, server in servers.items():
        text = f"{name} is served at {server.url} ({server.runtime})"
        log.say(f"{text} [log: {server.log}]")
        log.journal.add(server.event(name, text))


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
