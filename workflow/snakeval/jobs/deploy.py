"""The job that starts a model's server early: ``python -m snakeval.jobs.deploy RECORD``.

The job waits until the server is ready and leaves it to the pool, which keeps it for the
evaluations that follow. Each evaluation ensures that the server lives and does not trust the
record. If no evaluation of the model is missing, if the journals answer all of them (`--offline`),
or if the budget of the run is used up, the job starts nothing. If other models hold the GPUs, the
first evaluation starts the server.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Until `run_job.run` takes over: a Ctrl-C during the imports prints no traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
import sys
import time
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError
from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.evaluation.progress_lines import say
from snakeval.jobs import budget, publication, run_job
from snakeval.run.directory import RunDirectory
from snakeval.serving import client
from snakeval.serving.directory import DeploymentDirectory


def main(arguments: list[str] | None = None) -> int:
    """Run the job; return 0, 1 (failed, with a reason) or 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.jobs.deploy", description=__doc__)
    parser.add_argument("record", type=Path, help="the record to write")
    # Jobs that an earlier release queued give it; see docs/decisions/6-old-formats.md.
    parser.add_argument("--log", help=argparse.SUPPRESS)
    parser.add_argument("--head", type=int, default=0, help="pid that the server is for")
    options = parser.parse_args(arguments)
    directory = DeploymentDirectory.of_record(options.record)
    name, journal = directory.model, Journal(directory.events)

    def report(event: events.Event) -> None:
        journal.add(event)
        say(f"{name}: {event.detail}")
        directory.add_to_log(event.detail)

    def work(stop: Event) -> int:
        directory.begin_log()
        directory.complete(_deploy(directory, options.head or os.getpid(), stop, report))
        return 0

    return run_job.run(directory, journal, directory.server_log, options.head, work)


def _deploy(
    directory: DeploymentDirectory, head: int, stop: Event, report: client.Report
) -> dict[str, object]:
    run, plan = RunDirectory.of(directory), directory.plan()
    planned = ((run.evaluation(name), fingerprint) for name, fingerprint in plan.evaluations)
    missing = [(each, done) for each, done in planned if not each.completion(done)]
    if not missing:
        return {"state": "not needed: all its evaluations are complete"}
    missing = [(each, done) for each, done in missing if not _stands(each, done)]
    if not missing:
        return {"state": "not needed: all its evaluations have finished"}
    if not any(_asks(plan.name, each, done) for each, done in missing):
        return {"state": "not needed: the journals answer its evaluations"}
    if not any(_affords(each, done) for each, done in missing):
        return {"state": "not needed: the run's budget is used up"}
    started, name = time.monotonic(), plan.name
    try:
        with client.serve(
            run,
            (name,),
            who=DeploymentDirectory.of(run, name).name,
            head=client.head_of(head),
            stop=stop,
            report=report,
            eager=True,
        ) as servers:
            server = servers[name]
            seconds = round(time.monotonic() - started, 1)
            text = f"ready at {server.url} ({server.runtime}) after {seconds} s"
            report(server.event(name, text))
            return {"state": "ready", "seconds": seconds, "url": server.url, "log": server.log}
    except client.Busy as busy:
        text = f"{busy}; its first evaluation will start it"
        report(events.Event("waiting", detail=text, model=name))
        return {"state": f"not started: it {busy}"}
    except EvaluationError as error:
        if plan.deployment.serving.loading is None:
            raise
        # Other checkpoints wait for this job. The evaluations of this one fail with the reason.
        report(events.Event("waiting", detail=str(error), model=name))
        return {"state": f"not started: {error}"}


def _asks(model: str, directory: EvaluationDirectory, fingerprint: str) -> bool:
    try:
        return directory.read_evaluation(fingerprint).transport.asks(model)
    except EvaluationError:
        return True  # the evaluation's own job fails with the reason


def _affords(directory: EvaluationDirectory, fingerprint: str) -> bool:
    """Whether the budget of the run has something left for an evaluation."""
    try:
        evaluation = directory.read_evaluation(fingerprint)
    except EvaluationError:
        return True  # the evaluation's own job fails with the reason
    try:
        budget.refuse_used_up(evaluation, directory)
    except EvaluationError:
        return False
    return True


def _stands(directory: EvaluationDirectory, fingerprint: str) -> bool:
    """Whether an evaluation has finished and its health fails, so that no harness runs again."""
    try:
        evaluation = directory.read_evaluation(fingerprint)
        return publication.failure_stands(evaluation, directory)
    except (EvaluationError, OSError):
        return False  # the evaluation's own job fails with the reason


if __name__ == "__main__":
    sys.exit(main())
