"""The commands of ``profiles/lepton``: ``python -m snakeval.executors.lepton COMMAND RECORD``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from threading import Event

from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.executors.lepton import jobs, need_library
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.executors.lepton.refusals import refuse_if_all_are
from snakeval.jobs import run_job
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, 1 (failed, with a reason), 100 (needs no job) or 130."""
    parser = argparse.ArgumentParser(
        prog="python -m snakeval.executors.lepton", description=__doc__
    )
    parser.add_argument("command", choices=["prepare", "collect", "deploy"])
    parser.add_argument("record", type=Path, help="the record that the rule declares")
    parser.add_argument("--fingerprint", default="", help="what an evaluation's must be of")
    # Profiles of an earlier release give it; see docs/decisions/6-old-formats.md.
    parser.add_argument("--log", help=argparse.SUPPRESS)
    parser.add_argument("--head", type=int, default=0, help="pid whose death ends it")
    options = parser.parse_args(arguments)
    directory = EvaluationDirectory.of_record(options.record)
    deployment = DeploymentDirectory.of_record(options.record)
    deploys = options.command == "deploy"
    journal = Journal(deployment.events if deploys else directory.events)

    def work(stop: Event) -> int:
        if options.command == "prepare":
            return jobs.prepare(directory, options.fingerprint, stop)
        if options.command == "collect":
            return _collect(directory, options.fingerprint)
        return _deploy(deployment, journal, stop)

    if deploys:
        return run_job.run(deployment, journal, deployment.log, options.head, work)
    return run_job.run(directory, journal, directory.log, options.head, work)


def _collect(directory: EvaluationDirectory, fingerprint: str) -> int:
    code = jobs.collect(directory, fingerprint)
    run = RunDirectory.of(directory)
    for endpoint in _idle(run, directory.name):
        from snakeval.executors.lepton.endpoints import Endpoints

        Endpoints(run).end_one(endpoint, _say)
    return code


def _idle(run: RunDirectory, evaluation: str) -> list[Noted]:
    """The endpoints that *evaluation* asked and nothing asks any more."""
    asked = Notes(run).asked_by(evaluation)
    return [
        endpoint
        for endpoint in asked
        if _is_done(DeploymentDirectory.of(run, endpoint.model).plan(), run)
    ]


def _is_done(plan: Plan, run: RunDirectory) -> bool:
    return all(run.evaluation(name).completion(done) for name, done in plan.evaluations)


def _deploy(directory: DeploymentDirectory, journal: Journal, stop: Event) -> int:
    name, run = directory.model, RunDirectory.of(directory)
    plan = directory.plan()
    directory.begin_log()

    def report(text: str) -> None:
        journal.add(events.Event("deploying", detail=text, model=name))
        _say(f"{name}: {text}")
        directory.add_to_log(text)

    started = time.monotonic()
    told: dict[str, object] = {"state": "not needed: all its evaluations are complete"}
    if not _is_done(plan, run):
        need_library()
        from snakeval.executors.lepton.api import Platform
        from snakeval.executors.lepton.endpoints import Endpoints

        platform = Platform()
        refuse_if_all_are(run, plan, platform.secrets())
        endpoint = Endpoints(run, platform).serve(plan, stop, report)
        seconds = round(time.monotonic() - started, 1)
        told = {"state": "ready", "seconds": seconds, "url": endpoint.url, "name": endpoint.name}
        journal.add(events.Event("serving", model=name, url=endpoint.url))
    directory.complete(told)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
