"""An evaluation as a job of Lepton: what it shall run, and its completion when it is back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Container, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from snakeval.catalogue import gated
from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import events, timings
from snakeval.evaluation.attempts import ALL, Attempts
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.evaluation.record import Completion
from snakeval.executors.lepton import EVALUATION, RUN, need_library, stopped_by_hand
from snakeval.executors.lepton.journeys import bring_answers, journey, send_answers
from snakeval.executors.lepton.live_logs import take_back
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.executors.lepton.runtime import LeptonRuntime
from snakeval.executors.lepton.travelling import through_gateway, wrapped
from snakeval.files import write_atomically
from snakeval.harnesses import adapter, caches_of
from snakeval.jobs.container import container
from snakeval.jobs.evaluate import read
from snakeval.jobs.publication import attempts_at, completion, finish, reuse
from snakeval.lease import Lease
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Outcome
from snakeval.runtimes.spec import CONTAINER_RESULTS
from snakeval.serving.directory import DeploymentDirectory

#: The exit code that reports to the plugin (lepton_before) that the record exists without a job.
DONE_ALREADY = 100

#: Stands for the variable of the caller that holds an endpoint's key: here there is none, the
#: key is a secret of the workspace.
_KEY = "SNAKEVAL_LEPTON_KEY"
_RESULTS = LeptonRuntime.root + CONTAINER_RESULTS


def prepare(directory: EvaluationDirectory, fingerprint: str, stop: Event | None = None) -> int:
    """Adopt the evaluation, or write what its job shall run.

    Before another attempt its model's endpoint is looked after: it may be what failed, scaled to
    zero or deleted. Before the first one the rule `deploy` has done so, unless another Snakemake
    of the run deleted it meanwhile.

    Returns 0, or :data:`DONE_ALREADY`.

    Raises:
        EvaluationError: it cannot be evaluated.
        Interrupted: `snakeval kill` stopped it, and this Snakemake continues without it; or *stop*
            is set.
    """
    run = RunDirectory.of(directory)
    _refuse_killed(directory)
    stopped_by_hand.forget(run, directory.name)
    evaluation = read(directory, fingerprint)
    if done := reuse(evaluation, directory):
        return _adopted(directory, done)
    resumes = directory.attempted == fingerprint
    urls: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name in evaluation.transport.servers:
        endpoint = None if resumes else Notes(run).find_ready(name)
        endpoint = endpoint or _serve(run, name, stop or Event())
        urls[name], keys[name] = endpoint.url, endpoint.name
    there = _secrets_there() if gated.data_set(evaluation.identity.task) else frozenset()
    has_answers = send_answers(evaluation, directory, stop or Event())
    # A harness that starts again counts no answer twice.
    start = None if has_answers else _resume_point(directory, fingerprint)
    made = job(evaluation, directory, run.name, urls, keys, start, there)
    write_atomically(directory.remote_job, json.dumps(made, indent=1))
    return 0


def _resume_point(directory: EvaluationDirectory, fingerprint: str) -> Path | None:
    """Return the directory of the newest artifacts of *fingerprint* itself, if there is one.

    A job's files that no collection took may be the only ones, if the definition changed and
    changed back.
    """
    for place, is_own in (
        (directory.newest_artifacts, directory.attempted == fingerprint),
        (directory.arrived(fingerprint), True),
    ):
        if is_own and place.is_dir() and any(place.iterdir()):
            return place
    return None


def _secrets_there() -> frozenset[str]:
    """Return the names of the workspace's secrets."""
    need_library()
    from snakeval.executors.lepton.api import Platform

    return Platform().secrets()


def _serve(run: RunDirectory, name: str, stop: Event) -> Noted:
    need_library()
    from snakeval.executors.lepton.endpoints import Endpoints
    from snakeval.executors.lepton.workspace_requests import PlatformError

    def report(text: str) -> None:
        print(text, file=sys.stderr)

    try:
        return Endpoints(run).serve(DeploymentDirectory.of(run, name).plan(), stop, report)
    except PlatformError as error:
        report(f"{error}; its endpoint may serve all the same")
        return Notes(run).ready(name)


def _refuse_killed(directory: EvaluationDirectory) -> None:
    if stopped_by_hand.by_hand(RunDirectory.of(directory), directory.name):
        print("ended by `snakeval kill`; the next start evaluates it", file=sys.stderr)
        raise Interrupted


def job(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    run: str,
    urls: Mapping[str, str],
    keys: Mapping[str, str],
    start: Path | None = None,
    there: Container[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> dict[str, object]:
    """Return the job as the executor reads it.

    *urls* and *keys* belong to the models that snakeval serves for it: the URL of the route, and
    the secret of the workspace that holds the key. The job resumes from the artifacts in *start*.
    Of the workspace's secrets *there*, the harness of a gated task gets the token. The variables of
    the plugin in *environment* say how files travel.
    """
    transport = evaluation.transport
    if evaluation.model in keys:
        transport = replace(transport, api_key_name=_variable(evaluation.model))
    asked = {n: _variable(n) for n in keys if n in evaluation.identity.auxiliary}
    transport = replace(transport, auxiliary_keys={**transport.auxiliary_keys, **asked})
    has_token = gated.data_set(evaluation.identity.task) and gated.VARIABLE in there
    variables = {gated.VARIABLE: ""} if has_token else {}
    evaluation = replace(evaluation, transport=transport)
    through = through_gateway(evaluation, directory, run, urls, variables)
    spec = container(evaluation, directory, LeptonRuntime(), run, urls, variables=variables)
    if not spec.image:
        raise EvaluationError("Lepton runs containers; add `image`")
    secrets_here = {_variable(name): secret for name, secret in keys.items()}
    # Data sets that several jobs share need a volume of the platform, mounted at /cache.
    mounts = [mount for mount in spec.mounts if mount.target not in (_RESULTS, "/cache")]
    inputs = {mount.source: mount.target for mount in mounts}
    if start is not None:
        inputs[str(start.resolve())] = _RESULTS
    steps = [f"mkdir -p {_RESULTS}", f"cd {shlex.quote(spec.workdir)}"]
    caches = caches_of(evaluation.identity.adapter)
    made: dict[str, Any] = {
        "image": spec.image,
        "command": " && ".join([*steps, f"exec {shlex.join(spec.argv)}"]),
        "env": {**spec.env, RUN: run, EVALUATION: evaluation.id},
        "secrets": {inside: secrets_here.get(here, here) for inside, here in spec.secrets.items()},
        "inputs": inputs,
        "outputs": {str(directory.arrived(evaluation.fingerprint).resolve()): _RESULTS},
        # If not all files can return: the scores do, and the caches do not.
        "first": [f"{_RESULTS}/{pattern}" for pattern in scores(evaluation)],
        "never": [f"{_RESULTS}/{pattern}" for pattern in caches],
    }
    if through is None:
        return made
    way = journey(evaluation, directory, environment)
    return wrapped(made, evaluation, directory, urls, through, spec, way)


def scores(evaluation: Evaluation) -> list[str]:
    """Return patterns of the artifacts that the scores are in."""
    if file := (evaluation.identity.metrics or {}).get("file"):
        return [str(file), str(file).replace("**/", "")]
    reader = adapter(evaluation.identity.adapter)
    return list(getattr(reader, "SCORES", ()) or ("*",))


def _variable(name: str) -> str:
    return f"{_KEY}_{name}"


def collect(
    directory: EvaluationDirectory, fingerprint: str, told: Mapping[str, str] = os.environ
) -> int:
    """Make the completion record of what came back, or leave the reason of a failure.

    The variables of the plugin's lepton_then describe the job.

    Raises:
        EvaluationError: the results cannot be read.
        Interrupted: the job was ended by hand.
    """
    evaluation = read(directory, fingerprint)

    def is_complete() -> bool:
        return completion(evaluation, directory) is not None

    with Lease(
        directory.lease,
        done=is_complete,
        heartbeat=evaluation.transport.heartbeat,
        stale=evaluation.transport.stale,
    ) as lease:
        # Another job may have completed it: its artifacts stay, whatever this job's are.
        if (done := reuse(evaluation, directory)) or not lease.acquired:
            return _adopted(directory, done)
        attempts = attempts_at(evaluation, directory)
        attempts.check = lease.check
        return _collect(evaluation, directory, attempts, told)


def _adopted(directory: EvaluationDirectory, done: Completion | None) -> int:
    text = f"complete since {done.finished}" if done else "complete"
    Journal(directory.events).add(events.Event("adopted", detail=text))
    print(f"adopted, {text}", file=sys.stderr)
    directory.remote_job.unlink(missing_ok=True)
    return DONE_ALREADY


def _collect(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    attempts: Attempts,
    told: Mapping[str, str],
) -> int:
    back = directory.arrived(evaluation.fingerprint)
    ledger = bring_answers(evaluation, directory, told)
    if not back.exists() and not told.get("LEPTON_PROBLEM"):
        raise EvaluationError("its job completed, but its files did not come back")
    take_back(directory, told.get("LEPTON_JOB", ""))
    # The arrived artifacts contain those of an earlier attempt, which the job was sent.
    attempt = attempts.begin(resumes=() if back.exists() else ALL)
    if back.exists():
        back.rename(attempt.artifacts)
    log = directory.attempt_log(attempt.number)
    if said := told.get("LEPTON_LOG"):
        shutil.copyfile(said, log)
        directory.show_log(attempt.number)
    seconds = int(told.get("LEPTON_SECONDS") or 0)
    journal = Journal(directory.events, attempt.number)
    timings.add(journal, seconds)
    if problem := told.get("LEPTON_PROBLEM"):
        _refuse_killed(directory)
        asked = None if ledger == "off" else directory
        raise EvaluationError(_reason(evaluation, told, problem, log, asked))
    finish(
        evaluation,
        attempts,
        attempt,
        started=(datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
        seconds=seconds,
        runtime=f"lepton {told.get('LEPTON_JOB', '')}".strip(),
        image=evaluation.identity.image,
        image_digest="",
        servers={},
        ledger=ledger,
    )
    directory.remote_job.unlink(missing_ok=True)
    journal.add(events.Event("published"))
    return 0


def _reason(
    evaluation: Evaluation,
    told: Mapping[str, str],
    problem: str,
    log: Path,
    asked: EvaluationDirectory | None,
) -> str:
    code = int(told.get("LEPTON_EXIT_CODE") or 0)
    if code in (0, 124) or not log.exists():
        return problem  # the platform's, not the harness's
    from snakeval.jobs.failure import failure_of

    return failure_of(evaluation, Outcome(code), log, directory=asked).reason
