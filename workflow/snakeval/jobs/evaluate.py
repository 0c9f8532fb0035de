"""The job that completes one evaluation: ``python -m snakeval.jobs.evaluate RECORD``.

The job reuses an earlier completion, waits for another job of the same evaluation, resumes an
interrupted attempt, or runs the harness. It publishes the completion record last, atomically. It
imports little, because it starts once for each evaluation.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Until `run_job.run` takes over: a Ctrl-C during the imports prints no traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
import platform
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from snakeval import __version__
from snakeval.errors import EvaluationError
from snakeval.evaluation import events, timings
from snakeval.evaluation.definition import Evaluation, reading_of
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.evaluation.record import Completion, now
from snakeval.harnesses import adapter
from snakeval.harnesses.reading import read_metrics
from snakeval.jobs import run_job
from snakeval.jobs.attempt_log import AttemptLog, attempt_log
from snakeval.jobs.container import container, installable
from snakeval.jobs.served_models import serve_models
from snakeval.lease import Lease
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import choose

#: How often an attempt resumes after its servers broke.
_BREAKS = 10
#: The runtimes whose containers have the name that snakeval gives them.
_NAMED = ("docker", "podman")


def main(arguments: list[str] | None = None) -> int:
    """Run the job; return 0 (complete), 1 (failed, with a reason) or 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.jobs.evaluate", description=__doc__)
    parser.add_argument("record", type=Path, help="the completion record to publish")
    parser.add_argument("--fingerprint", required=True, help="fingerprint of the record")
    parser.add_argument("--head", type=int, default=0, help="pid whose death ends this job")
    options = parser.parse_args(arguments)
    directory = EvaluationDirectory.of_record(options.record)

    journal = Journal(directory.events)

    def work(stop: Event) -> int:
        evaluation = read(directory, options.fingerprint)
        return _complete(evaluation, directory, journal, options.head or os.getpid(), stop)

    return run_job.run(directory, journal, directory.log, options.head, work)


def read(directory: EvaluationDirectory, fingerprint: str) -> Evaluation:
    """Return the evaluation of a directory.

    Raises:
        EvaluationError: there is none, or it is of another fingerprint.
    """
    try:
        evaluation = directory.read_evaluation(fingerprint)
    except EvaluationError as error:
        raise EvaluationError(f"{error}; give the same command again") from None
    if evaluation.fingerprint != fingerprint:
        raise EvaluationError(
            "its definition was changed by another command meanwhile; give your command again"
        )
    return evaluation


def _complete(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    journal: Journal,
    head: int,
    stop: Event,
) -> int:
    fingerprint = evaluation.fingerprint
    if done := reuse(evaluation, directory):
        journal.add(events.Event("adopted", detail=f"complete since {done.finished}"))
        print(f"{evaluation.id}: adopted, complete since {done.finished}", file=sys.stderr)
        return 0

    def wait(holder: str) -> None:
        journal.add(events.Event("waiting", detail=f"waits for {holder}"))
        print(f"{evaluation.id}: waits for {holder}", file=sys.stderr)

    with Lease(
        directory.lease,
        done=lambda: stop.is_set() or directory.completion(fingerprint) is not None,
        lost=stop.set,
        waiting=wait,
        heartbeat=evaluation.transport.heartbeat,
        stale=evaluation.transport.stale,
    ) as lease:
        journal.attempt = directory.begin(fingerprint) if lease.acquired else 0
        # Another job finished it while this job waited, or an archived attempt did.
        if done := reuse(evaluation, directory):
            journal.add(events.Event("adopted", detail=f"complete since {done.finished}"))
            return 0
        if stop.is_set():
            return run_job.INTERRUPTED
        with attempt_log(directory, evaluation.id, journal) as log:
            return _attempt(evaluation, directory, log, head, stop)


def reuse(evaluation: Evaluation, directory: EvaluationDirectory) -> Completion | None:
    """Publish the completion of *evaluation*, if there is one, and return it.

    If the configuration reads other metrics by now, they are read from the artifacts again.

    Raises:
        EvaluationError: the artifacts do not have these metrics.
    """
    done = directory.completion(evaluation.fingerprint)
    if done is None:
        return None
    if reading_of(done.identity) == evaluation.reading:
        directory.publish(done)
        return done
    read_again = replace(
        done,
        identity={**done.identity, "metrics": evaluation.identity.metrics},
        metrics=read_metrics(evaluation, directory.artifacts),
        parser_version=adapter(evaluation.identity.adapter).PARSER_VERSION,
    )
    directory.complete(read_again)
    return read_again


def _attempt(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    log: AttemptLog,
    head: int,
    stop: Event,
) -> int:
    attempt = log.journal.attempt
    runtime, why = choose(
        evaluation.transport.runtime, evaluation.identity.image, installable(evaluation)
    )
    name = directory.container_name if runtime.name in _NAMED else ""
    log.tell(events.Event("begun", detail=why, runtime=runtime.name, container=name))
    breaks = 0
    while True:
        with serve_models(evaluation, directory, head, stop, log) as (servers, halt, lost, lose):
            urls = {name: server.url for name, server in (servers or {}).items()}
            spec = container(evaluation, directory, runtime, RunDirectory.of(directory).name, urls)
            spec = servers.with_gpus(spec, runtime.name) if servers is not None else spec
            image_digest = runtime.prepare(spec, partial(_tell, log, "preparing"))
            started, clock = now(), time.monotonic()
            with timings.use(log.journal, directory.attempt_log(attempt)) as using:
                outcome = runtime.run(spec, log.file, halt)
                using.exit_code = outcome.exit_code
            seconds = time.monotonic() - clock
            # A harness may count questions that a dead server left open as wrong, and exit with 0.
            if servers and not stop.is_set() and (why := servers.why_broken()):
                lose(why)
        if stop.is_set():
            log.say("interrupted; the same command resumes it")
            return run_job.INTERRUPTED
        if not lost.is_set():
            break
        breaks += 1
        if breaks > _BREAKS:
            raise EvaluationError(f"its model servers broke {breaks} times in one attempt")
        log.say("resumes what its cache has as soon as its model is served again")
    log.say(f"the harness exited with {outcome.exit_code} after {seconds:.1f} s")
    if outcome.exit_code != 0:
        # Only a failure needs this module, which imports an HTTP client.
        from snakeval.jobs.failure import failure_reason

        log_file = directory.attempt_log(attempt)
        raise EvaluationError(
            failure_reason(evaluation, outcome, log_file, urls.get(evaluation.model, ""))
        )
    log.journal.add(events.Event("reading"))
    finish(
        evaluation,
        directory,
        attempt=attempt,
        started=started,
        seconds=seconds,
        runtime=runtime.name,
        image=spec.image,
        image_digest=image_digest,
        servers={name: server.version for name, server in (servers or {}).items()},
    )
    log.journal.add(events.Event("published"))
    return 0


def _tell(log: AttemptLog, phase: str, text: str) -> None:
    log.tell(events.Event(phase, detail=text))


def finish(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    *,
    attempt: int,
    started: str,
    seconds: float,
    runtime: str,
    image: str,
    image_digest: str,
    servers: Mapping[str, str],
) -> None:
    """Read the scores of an attempt and publish the completion record.

    *servers* has the image and its digest of each model that snakeval served, by name.

    Raises:
        EvaluationError: there are no results, or they cannot be read.
    """
    reader = adapter(evaluation.identity.adapter)
    directory.complete(
        Completion(
            model=evaluation.model,
            benchmark=evaluation.benchmark,
            fingerprint=evaluation.fingerprint,
            identity=evaluation.identity.as_dict(),
            metrics=read_metrics(evaluation, directory.artifacts),
            adapter=evaluation.identity.adapter,
            parser_version=reader.PARSER_VERSION,
            started=started,
            finished=now(),
            seconds=round(seconds, 3),
            attempt=attempt,
            runtime=runtime,
            image=image,
            image_digest=image_digest,
            host=socket.gethostname(),
            versions={
                "snakeval": __version__,
                "python": platform.python_version(),
                **{f"server {name}": version for name, version in servers.items()},
            },
            manifest=directory.manifest(reader.CACHES),
        )
    )


if __name__ == "__main__":
    # Not sys.exit: the interpreter's end costs more than the rest of a reuse.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
