"""A run's directory made by hand, with evaluations in whatever state; and the command at it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from snakeval import cli
from snakeval.config import models
from snakeval.evaluation.attempts import Attempts
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.evaluation.health import HEALTH_VERSION
from snakeval.evaluation.record import Completion, Metric, now
from snakeval.ledger.start_time import start_time
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.run.index import Entry, remember
from snakeval.run.plan import Planned
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from snakeval.serving.resolve import resolve
from support.configs import COMMAND, MODEL, config


class Made:
    """A run of the model `m`, known to the registry of `$SNAKEVAL_HOME`."""

    def __init__(
        self, directory: Path, *benchmarks: str, name: str = "2026-01-02-03-04-05-0123abcd"
    ) -> None:
        self.path = directory / name
        self.directory = RunDirectory(self.path)
        self.cwd = directory
        rows = dict.fromkeys(benchmarks, COMMAND)
        found = expand(config(directory, {"models": {"m": MODEL}, "benchmarks": rows}))
        self.evaluations = {evaluation.benchmark: evaluation for evaluation in found}
        self.plan = [Planned("m", e.benchmark, e.fingerprint) for e in found]
        self.save()
        for evaluation in found:
            place = self[evaluation.benchmark]
            place.private.mkdir(parents=True)
            place.spec.write_text(evaluation.to_json())
        self.directory.write_origin({})
        self.entry = Entry(name[20:], "named", str(self.path), str(directory), ("snakemake",), "1")
        remember(self.entry)

    def save(self) -> None:
        self.directory.write_plan(self.plan)

    def __getitem__(self, benchmark: str) -> EvaluationDirectory:
        return self.directory.evaluation(self.evaluations[benchmark].id)

    def begun(
        self, benchmark: str, said: str = "", *happened: Event, runtime: str = "process"
    ) -> EvaluationDirectory:
        """An attempt without an end: what its harness said, and what happened."""
        place = self[benchmark]
        number = begin(place, self.evaluations[benchmark].fingerprint)
        log = place.attempt_log(number)
        log.write_text(f"=== attempt {number}\n{said}")
        journal = Journal(place.events, number)
        journal.add(Event("begun", runtime=runtime, container=place.container_name))
        for event in happened:
            journal.add(event)
        place.show_log(number)
        return place

    def done(self, benchmark: str, *metrics: Metric) -> EvaluationDirectory:
        place = self.begun(benchmark)
        (place.artifacts / "f").write_text("1")
        place.complete(completion(self.evaluations[benchmark], place, metrics))
        return place

    def judged(self, benchmark: str, **counts: Any) -> EvaluationDirectory:
        """A finished evaluation whose health has *counts*."""
        place = self.done(benchmark)
        evaluation = self.evaluations[benchmark]
        record = completion(evaluation, place)
        known = {"asked": 60, "answered": 60, "choices": 60, "names": {"m-1": 60}, **counts}
        health = {"version": HEALTH_VERSION, "models": {"m": known}}
        place.complete(replace(record, health=health, versions={"ledger": "on"}))
        return place

    def failed(self, benchmark: str, reason: str) -> EvaluationDirectory:
        place = self.begun(benchmark)
        place.fail(reason)
        return place

    def held(
        self,
        benchmark: str,
        said: str = "",
        *happened: Event,
        age: float = 0,
        runtime: str = "process",
        **holder: Any,
    ) -> Path:
        """An attempt with a lease, of this process where nothing else is said."""
        place = self.begun(benchmark, said, *happened, runtime=runtime)
        lease = place.private / "lease"
        lease.write_text(lease_text(**holder))
        os.utime(lease, times=(time.time() - age,) * 2)
        return lease

    def heartbeat(self, benchmark: str, seconds: float) -> None:
        evaluation = self.evaluations[benchmark]
        transport = replace(evaluation.transport, heartbeat=seconds)
        self[benchmark].spec.write_text(replace(evaluation, transport=transport).to_json())

    def deploys(self, name: str, *evaluations: str) -> Path:
        """Plan a deployment; return its directory."""
        deployment = resolve(name, models.Deployment(kind="generic", command="serve"), "host")
        planned = tuple((evaluation, "0" * 64) for evaluation in evaluations)
        DeploymentDirectory.of(self.directory, name).define(Plan(name, 0, deployment, planned))
        place = self.path / name / "deployment"
        place.mkdir(parents=True)
        return place


class between_looks:
    """The clock of a module that sleeps between two looks: each sleep does the next step."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def sleep(self, seconds: float) -> None:
        if self._steps:
            self._steps.pop(0)()
        else:
            time.sleep(seconds)


def lease_text(**holder: Any) -> str:
    me = {"host": socket.gethostname(), "pid": os.getpid(), "start": start_time(os.getpid())}
    return json.dumps({"id": "x", "beat": 0, **me, **holder})


def gone() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def completion(
    evaluation: Evaluation, place: EvaluationDirectory, metrics: tuple[Metric, ...] = ()
) -> Completion:
    return Completion(
        model=evaluation.model, benchmark=evaluation.benchmark,
        fingerprint=evaluation.fingerprint, identity=evaluation.identity.as_dict(),
        metrics=metrics or (Metric("b", "v", 0.25, stderr=0.1),),
        adapter="generic", parser_version=1, started=now(), finished=now(), seconds=90.0,
        attempt=place.read_attempt().number or 1, runtime="process", image="", image_digest="",
        host="h", versions={},
        manifest=place.manifest(),
    )  # fmt: skip


@dataclass
class Said:
    """How the command ended, and what it printed where."""

    exit_code: int
    out: str
    err: str


def snakeval(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """The command, in this process."""
    capsys.readouterr()
    code = cli.main([*map(str, arguments)])
    return Said(code, *capsys.readouterr())


def begin(place: EvaluationDirectory, fingerprint: str) -> int:
    """Begin an attempt whose artifacts are in `artifacts/`, as after its publication.

    An earlier result gets its artifacts back and loses its place, as in every publication.
    """
    attempts = Attempts(place, [fingerprint])
    attempt = attempts.begin()
    place.retract()
    if (published := attempts.published()) is not None:
        place.artifacts.rename(published.artifacts)
    attempt.artifacts.rename(place.artifacts)
    return attempt.number
