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
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import events
from snakeval.evaluation.attempts import AttemptDirectory, Attempts, Failure
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory, Kind
from snakeval.evaluation.events import Journal
from snakeval.evaluation.progress_lines import say
from snakeval.evaluation.record import Completion
from snakeval.harnesses import adapter
from snakeval.jobs import budget, publication, run_job
from snakeval.jobs.attempt_log import AttemptLog, attempt_log
from snakeval.jobs.container import installable
from snakeval.jobs.publication import attempts_at, completion, finish, publish_finished
from snakeval.jobs.run_harness import Ran, require_few, run_harness
from snakeval.jobs.unanswered import how_to_resume, why_unanswered
from snakeval.lease import Lease, LeaseLost
from snakeval.runtimes import choose

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
    directory.make_way()
    if done := completion(evaluation, directory):
        directory.publish(done)
        return _adopted(evaluation, journal, done)
    while (code := _hold(evaluation, directory, journal, head, stop)) is None:
        # This process was suspended, and another one may have taken over: it waits for that one.
        text = "lost its lease; another job may work at it"
        journal.add(events.Event("waiting", detail=text))
        print(f"{evaluation.id}: {text}", file=sys.stderr)
    return code


def _adopted(evaluation: Evaluation, journal: Journal, done: Completion) -> int:
    journal.add(events.Event("adopted", detail=f"complete since {done.finished}"))
    say(f"{evaluation.id}: adopted, complete since {done.finished}")
    return 0


def _hold(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    journal: Journal,
    head: int,
    stop: Event,
) -> int | None:
    """Complete the evaluation under its lease; return the exit code, or None if it is lost."""

    def wait(holder: str) -> None:
        journal.add(events.Event("waiting", detail=f"waits for {holder}"))
        say(f"{evaluation.id}: waits for {holder}")

    with (
        _ending(stop) as ending,
        Lease(
            directory.lease,
            done=lambda: stop.is_set() or completion(evaluation, directory) is not None,
            lost=ending.set,
            waiting=wait,
            heartbeat=evaluation.transport.heartbeat,
            stale=evaluation.transport.stale,
        ) as lease,
    ):
        if not lease.acquired:
            if stop.is_set():
                return run_job.INTERRUPTED
            if done := completion(evaluation, directory):
                directory.publish(done)
                return _adopted(evaluation, journal, done)
            return None
        try:
            return _work(evaluation, directory, journal, head, stop, ending, lease)
        except (LeaseLost, Interrupted):
            if stop.is_set():
                return run_job.INTERRUPTED
            return None


@contextlib.contextmanager
def _ending(stop: Event) -> Iterator[Event]:
    """Yield an event that is set soon after *stop*, and that can be set for other reasons."""
    ending, left = Event(), Event()

    def pass_on() -> None:
        while not left.wait(0.1):
            if stop.is_set():
                ending.set()

    threading.Thread(target=pass_on, daemon=True).start()
    try:
        yield ending
    finally:
        left.set()


def _work(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    journal: Journal,
    head: int,
    stop: Event,
    ending: Event,
    lease: Lease,
) -> int:
    why = directory.why_incomplete(evaluation.fingerprint)
    if why is not None and why.kind is Kind.UNREADABLE:
        raise EvaluationError(why.reason)  # what is unknown is not absent
    attempts = attempts_at(evaluation, directory)
    attempts.check = lease.check
    # Another job finished it while this job waited, or only its publication or reading is missing.
    if done := publish_finished(evaluation, attempts):
        return _adopted(evaluation, journal, done)
    if stop.is_set():
        return run_job.INTERRUPTED
    budget.refuse_used_up(evaluation, directory)
    evaluation = publication.keeping_one_model(evaluation, attempts)
    attempt = attempts.begin(lease.id, (), _resumes(evaluation))
    journal.attempt = attempt.number
    with attempt_log(directory, evaluation.id, journal) as log:
        return _attempt(evaluation, attempts, attempt, log, head, stop, ending)


def _attempt(
    evaluation: Evaluation,
    attempts: Attempts,
    attempt: AttemptDirectory,
    log: AttemptLog,
    head: int,
    stop: Event,
    ending: Event,
) -> int:
    runtime, why = choose(
        evaluation.transport.runtime, evaluation.identity.image, installable(evaluation)
    )
    name = attempts.directory.container_name if runtime.name in _NAMED else ""
    log.tell(events.Event("begun", detail=why, runtime=runtime.name, container=name))
    breaks = deaths = 0
    while True:
        ran = run_harness(evaluation, attempts.directory, attempt, runtime, log, head, ending)
        if not ran.is_valid:
            _discard(attempt)
        if stop.is_set():
            log.say(f"interrupted; {how_to_resume(attempts.directory)} resumes it")
            return run_job.INTERRUPTED
        attempts.check()
        if ran.used_up:
            raise budget.end(evaluation, attempts.directory, attempt)
        if ran.is_valid:
            break
        breaks, deaths = breaks + ran.is_broken, deaths + 1 if ran.why_dead else 0
        require_few(breaks, deaths, ran.why_dead)
        log.say("runs the harness again; answers in the journal are not requested again")
    outcome = ran.outcome
    log.say(f"the harness exited with {outcome.exit_code} after {ran.seconds:.1f} s")
    if failure := _failure(evaluation, attempts.directory, attempt.number, ran, log):
        attempt.fail(failure)
        raise EvaluationError(failure.reason)
    log.journal.add(events.Event("reading"))
    finish(
        evaluation,
        attempts,
        attempt,
        started=ran.started,
        seconds=ran.seconds,
        runtime=runtime.name,
        image=ran.image,
        image_digest=ran.image_digest,
        servers=ran.versions,
        ledger=evaluation.transport.ledger,
    )
    log.journal.add(events.Event("published"))
    return 0


def _failure(
    evaluation: Evaluation, directory: EvaluationDirectory, number: int, ran: Ran, log: AttemptLog
) -> Failure | None:
    """Return why the results of the harness of attempt *number* do not count; None if they do."""
    if reason := why_unanswered(evaluation, directory, log.say, ran.outcome.exit_code):
        return Failure(reason)
    if ran.outcome.exit_code == 0:
        return None
    # Only a failure needs this module, which imports an HTTP client.
    from snakeval.jobs.failure import failure_of, with_requests

    url = ran.urls.get(evaluation.model, "")
    failure = failure_of(evaluation, ran.outcome, directory.attempt_log(number), url, directory)
    return with_requests(failure, evaluation, directory, reaches=ran.reaches)


def _resumes(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the patterns of artifacts that a new attempt starts with.

    The ledger replays the answers, so the harness starts with none. It would count answers twice.
    """
    if evaluation.transport.ledger == "on":
        return ()
    return tuple(getattr(adapter(evaluation.identity.adapter), "RESUMES", ()))


def _discard(attempt: AttemptDirectory) -> None:
    """Discard what a harness wrote whose server or gateway broke.

    Some harnesses count lost requests as wrong answers. One that ends with an error does the same
    in the notes from which it continues.
    """
    attempt.keep_only(())
    attempt.forget_failure()


if __name__ == "__main__":
    # Not sys.exit: the interpreter's end costs more than the rest of a reuse.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
