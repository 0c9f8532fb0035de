"""What Lepton is at for a run: one list of jobs, and a look at each endpoint that is noted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.lepton import need_library
from snakeval.lepton.notes import Notes


@dataclass(frozen=True, slots=True)
class Watched:
    """How far Lepton is with an evaluation: a state of :mod:`snakeval.state`, and more of it."""

    state: str
    reason: str
    job: str = ""


def watch(run: Path) -> dict[str, Watched]:
    """Return evaluation, or model, -> what Lepton is at; only what it has something of."""
    submitted = {
        f"{file.parent.parent.name}/{file.parent.name}"
        for file in run.glob("*/*/evaluation.json.job")
    }
    endpoints = Notes(run).all()
    if not submitted and not endpoints:
        return {}
    try:
        need_library()
        from snakeval.lepton.platform import Platform

        platform = Platform(backoff=(0.5,))
        found = {job.evaluation: _of_job(job.id, job.state) for job in platform.jobs_of(run.name)}
        for endpoint in endpoints:
            found[endpoint.model] = Watched("deploying", platform.describe(endpoint.name))
        return found
    except EvaluationError as error:
        return dict.fromkeys(submitted, Watched("unknown", f"Lepton cannot be asked: {error}"))


def _of_job(job: str, state: str) -> Watched:
    if state == "Running":
        return Watched("running", "", job)
    if state in ("Completed", "Failed", "Stopped"):
        return Watched("waiting", f"Lepton job {job} is {state}, to be collected", job)
    return Watched("waiting", f"Lepton job {job} is {state}", job)
