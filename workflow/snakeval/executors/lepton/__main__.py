"""What ``profiles/lepton`` has run here: ``python -m snakeval.executors.lepton COMMAND RECORD``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from threading import Event

from snakeval.evaluation import events
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.evaluation.record import now
from snakeval.executors.lepton import jobs, need_library
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.files import write_atomically
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
    parser.add_argument("--log", type=Path, help="where the progress of deploy goes, too")
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
        return _deploy(options.record, options.log, journal, stop)

    log = options.log or directory.log
    return run_job.run(directory, journal, log, options.head, work)


def _collect(directory: EvaluationDirectory, fingerprint: str) -> int:
    code = jobs.collect(directory, fingerprint)
    run = directory.path.parents[1]
    for endpoint in _idle(run, "/".join(directory.path.parts[-2:])):
        from snakeval.executors.lepton.endpoints import Endpoints

        Endpoints(run).end_one(endpoint, _say)
    return code


def _idle(run: Path, evaluation: str) -> list[Noted]:
    """The endpoints that *evaluation* asked and nothing asks any more."""
    asked = Notes(run).asked_by(evaluation)
    return [
        endpoint
        for endpoint in asked
        if _is_done(DeploymentDirectory.of(RunDirectory(run), endpoint.model).plan(), run)
    ]


def _is_done(plan: Plan, run: Path) -> bool:
    return all(EvaluationDirectory(run / e).completion(f) for e, f in plan.evaluations)


def _deploy(record: Path, log: Path, journal: Journal, stop: Event) -> int:
    name, run = record.parent.parent.name, record.parents[2]
    plan = DeploymentDirectory.of(RunDirectory(run), name).plan()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")

    def report(text: str) -> None:
        journal.add(events.Event("deploying", detail=text, model=name))
        _say(f"{name}: {text}")
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{now()} {text}\n")

    started = time.monotonic()
    told: dict[str, object] = {"state": "not needed: all its evaluations are complete"}
    if not _is_done(plan, run):
        need_library()
        from snakeval.executors.lepton.endpoints import Endpoints

        endpoint = Endpoints(run).serve(plan, stop, report)
        seconds = round(time.monotonic() - started, 1)
        told = {"state": "ready", "seconds": seconds, "url": endpoint.url, "name": endpoint.name}
        journal.add(events.Event("serving", model=name, url=endpoint.url))
    EvaluationDirectory(record.parent).failure.unlink(missing_ok=True)
    write_atomically(record, json.dumps({"deployment": name, "time": now(), **told}))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
