"""Runs the harness of an attempt once, while the models that it asks are served."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from snakeval.evaluation import events, timings
from snakeval.evaluation.attempts import AttemptDirectory, Failure
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import now
from snakeval.jobs.attempt_log import AttemptLog
from snakeval.jobs.container import container
from snakeval.jobs.served_models import serve_models
from snakeval.matrix.benchmark_files import require_snapshot
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Outcome, Runtime
from snakeval.runtimes.secrets_in_logs import blotting


@dataclass(frozen=True, slots=True)
class Ran:
    """How the harness of an attempt ended.

    Attributes:
        urls: the routes of the models that snakeval served, by name.
        versions: their images with the images' digests, by name.
        is_broken: whether a server was lost before the harness ended, so the results are invalid.
    """

    outcome: Outcome
    started: str
    seconds: float
    image: str
    image_digest: str
    urls: Mapping[str, str]
    versions: Mapping[str, str]
    is_broken: bool


def run_harness(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    attempt: AttemptDirectory,
    runtime: Runtime,
    log: AttemptLog,
    head: int,
    ending: Event,
) -> Ran:
    """Serve the models, and run the harness to its end or until *ending*.

    Raises:
        EvaluationError: the benchmark's files changed, or the harness cannot start.
    """
    if files := evaluation.transport.files:
        require_snapshot(Path(files))
    run = RunDirectory.of(directory).name
    invalid = partial(attempt.fail, Failure("lost its model server", invalid=True))
    models = serve_models(evaluation, directory, head, ending, log, invalid)
    with models as (servers, halt, lost, lose):
        urls = {name: server.url for name, server in (servers or {}).items()}
        spec = container(evaluation, directory, runtime, run, urls, attempt)
        spec = servers.with_gpus(spec, runtime.name) if servers is not None else spec
        image_digest = runtime.prepare(spec, partial(_tell, log, "preparing"))
        attempt.forget_failure()
        started, clock = now(), time.monotonic()
        used = timings.use(log.journal, directory.attempt_log(attempt.number))
        with used as using, blotting(spec, log.file):
            outcome = runtime.run(spec, log.file, halt)
            using.exit_code = outcome.exit_code
        seconds = time.monotonic() - clock
        # A harness may end before the pool notices that its server died, and it may count
        # requests without an answer as wrong answers, whatever its exit code.
        if servers and not ending.is_set() and (why := servers.why_broken()):
            lose(why)
    versions = {name: server.version for name, server in (servers or {}).items()}
    return Ran(
        outcome,
        started,
        seconds,
        evaluation.identity.image,
        image_digest,
        urls,
        versions,
        lost.is_set(),
    )


def _tell(log: AttemptLog, phase: str, text: str) -> None:
    log.tell(events.Event(phase, detail=text))
