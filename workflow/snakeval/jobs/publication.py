"""Publishes the results of finished attempts, and reads their metrics again if that is enough."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping
from dataclasses import replace

from snakeval import __version__
from snakeval.errors import EvaluationError
from snakeval.evaluation import trees
from snakeval.evaluation.attempts import AttemptDirectory, Attempts, Finished, Result
from snakeval.evaluation.definition import Evaluation, reading_of
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Completion, now
from snakeval.evaluation.verdict import judge_evaluation, names_to_keep
from snakeval.harnesses import adapter, caches_of
from snakeval.harnesses.reading import read_scores, require_unchanged
from snakeval.harnesses.values import NoSuchFile, WrongPlace
from snakeval.jobs.stored_answers import asks_again
from snakeval.jobs.unanswered import how_again
from snakeval.run.directory import RunDirectory
from snakeval.runtimes.spec import CONTAINER_RESULTS, WRITABLE_ROOT


class UnhealthyError(EvaluationError):
    """The health of finished results fails; *asks_again* if the same command repairs that."""

    def __init__(self, reason: str, *, asks_again: bool) -> None:
        super().__init__(reason)
        self.asks_again = asks_again


def failure_stands(evaluation: Evaluation, directory: EvaluationDirectory) -> bool:
    """Whether results have finished whose health fails, and no command repairs that by itself."""
    found = attempts_at(evaluation, directory).result(_reading(evaluation))
    if found is None or asks_again(evaluation, directory):
        return False
    verdict = judge_evaluation(evaluation, found.finished.health)
    return bool(verdict.fails) and not verdict.asks_again


def keeping_one_model(evaluation: Evaluation, attempts: Attempts) -> Evaluation:
    """Return *evaluation* with the names that count, if the answers of the last result differ."""
    found = attempts.result(_reading(evaluation))
    if found is None or not (keep := names_to_keep(evaluation, found.finished.health)):
        return evaluation
    return replace(evaluation, transport=replace(evaluation.transport, keep=keep))


def completion(evaluation: Evaluation, directory: EvaluationDirectory) -> Completion | None:
    """Return the completion of *evaluation*, if its metrics and health fit the configuration."""
    done = directory.completion(evaluation.fingerprint, _older(evaluation))
    if done is None or reading_of(done.identity) != evaluation.reading:
        return None
    return None if judge_evaluation(evaluation, done.health).fails else done


def attempts_at(evaluation: Evaluation, directory: EvaluationDirectory) -> Attempts:
    """Return the attempts at *evaluation*, for a process that no other one competes with."""
    return Attempts(directory, (evaluation.fingerprint, *_older(evaluation)))


def _older(evaluation: Evaluation) -> tuple[str, ...]:
    return tuple(each for each in evaluation.older if each != evaluation.fingerprint)


def reuse(evaluation: Evaluation, directory: EvaluationDirectory) -> Completion | None:
    """Publish a finished result of *evaluation*, if there is one, and return its record.

    Raises:
        EvaluationError: the artifacts do not have the configuration's metrics.
    """
    if done := completion(evaluation, directory):
        directory.publish(done)
        return done
    return publish_finished(evaluation, attempts_at(evaluation, directory))


def publish_finished(evaluation: Evaluation, attempts: Attempts) -> Completion | None:
    """Publish the newest attempt whose harness has finished, and return its record.

    None if there is none, or answers are missing that only a harness asks for. It may be the
    published one, if the configuration has other metrics by
    now, or one whose publication or reading a job did not end.

    Raises:
        EvaluationError: the artifacts do not have these metrics.
        LeaseLost: another process may work at the evaluation.
    """
    attempts.settle()
    found = attempts.result(_reading(evaluation))
    if found is None:
        return None
    try:
        return publish(evaluation, attempts, found)
    except UnhealthyError as error:
        if error.asks_again or asks_again(evaluation, attempts.directory):
            return None
        raise


def publish(evaluation: Evaluation, attempts: Attempts, result: Result) -> Completion:
    """Read the metrics of a finished attempt, publish its record, and return it.

    Raises:
        EvaluationError: there are no such metrics, or their health fails.
        LeaseLost: another process may work at the evaluation.
    """
    verdict = judge_evaluation(evaluation, result.finished.health)
    if verdict.fails:
        attempts.check()
        if result.artifacts == attempts.directory.artifacts:
            attempts.directory.retract()
        model = verdict.fails[0].model
        verdict = replace(verdict, run=RunDirectory.of(attempts.directory).id)
        reason = verdict.reason_with(how_again(evaluation, attempts.directory, model))
        if verdict.asks_again:
            from snakeval.jobs.request_cause import with_message  # only a failure needs it

            reason = with_message(reason, evaluation, attempts.directory)
        raise UnhealthyError(reason, asks_again=verdict.asks_again)
    record = result.record
    if record is None or reading_of(record.identity) != evaluation.reading:
        record = _read(evaluation, attempts, result)
    attempts.publish(result.attempt, record)
    if (why := attempts.directory.why_incomplete(record.fingerprint)) is not None:
        raise EvaluationError(f"its results changed during publication: {why.reason}")
    return record


def finish(
    evaluation: Evaluation,
    attempts: Attempts,
    attempt: AttemptDirectory,
    *,
    started: str,
    seconds: float,
    runtime: str,
    image: str,
    image_digest: str,
    servers: Mapping[str, str],
    ledger: str = "off",
) -> Completion:
    """Note that the harness of an attempt has finished, and publish its result.

    *servers* has the image and its digest of each model that snakeval served, by name. *ledger*
    says whether a gateway asked the models.

    Raises:
        EvaluationError: there are no results, or they cannot be read.
        LeaseLost: another process may work at the evaluation.
    """
    from snakeval.jobs.health import health_of  # a reuse needs none of what it imports

    caches = caches_of(evaluation.identity.adapter)
    # Publication moves the artifacts, and a harness may have linked them by their absolute path.
    inside = [CONTAINER_RESULTS, WRITABLE_ROOT + CONTAINER_RESULTS]
    inside = inside if evaluation.identity.image and runtime != "process" else []
    trees.make_links_relative(attempt.artifacts, *inside)
    # Before the note, so that what it says is true after a power cut.
    trees.flush(attempt.artifacts, caches)
    attempts.check()
    finished = Finished(
        fingerprint=evaluation.fingerprint,
        started=started,
        finished=now(),
        seconds=round(seconds, 3),
        runtime=runtime,
        image=image,
        image_digest=image_digest,
        host=socket.gethostname(),
        versions={
            "snakeval": __version__,
            "python": platform.python_version(),
            **{f"server {name}": version for name, version in servers.items()},
            **({} if ledger == "off" else {LEDGER: ledger}),
        },
        sizes=trees.sizes(attempt.artifacts, caches),
        health=health_of(evaluation, attempts.directory, attempt.artifacts, ledger).as_dict(),
    )
    attempt.finish(finished)
    return publish(evaluation, attempts, Result(attempt, attempt.artifacts, finished, None))


def _reading(evaluation: Evaluation) -> str:
    """Identify what reads the metrics: the configuration's places and the adapter's parser."""
    version = adapter(evaluation.identity.adapter).PARSER_VERSION
    return f"{evaluation.reading} {version}"


def _reruns(evaluation: Evaluation, result: Result, error: EvaluationError) -> bool:
    """Note that metrics cannot be read; return whether the harness has to run again for them.

    It does if it did not write what it should. A configuration with a wrong place for metrics is no
    reason. If no file has the configured name, both may be the cause: the harness runs again after
    the second failure.
    """
    caches, reading = caches_of(evaluation.identity.adapter), _reading(evaluation)
    wrote = bool(evaluation.identity.metrics and trees.sizes(result.artifacts, caches))
    once = f"once {reading}"
    if wrote and isinstance(error, NoSuchFile) and result.finished.unread != once:
        result.attempt.finish(replace(result.finished, unread=once))
        return False
    if wrote and isinstance(error, WrongPlace) and not isinstance(error, NoSuchFile):
        return False
    result.attempt.finish(replace(result.finished, unread=reading))
    return True


def _read(evaluation: Evaluation, attempts: Attempts, result: Result) -> Completion:
    reader = adapter(evaluation.identity.adapter)
    try:
        if result.record is not None:
            require_unchanged(result.record, result.artifacts)
        read = read_scores(evaluation, result.artifacts)
    except EvaluationError as error:
        attempts.check()
        # A record with other metrics would hide the failure.
        if result.artifacts == attempts.directory.artifacts:
            attempts.directory.retract()
        if _reruns(evaluation, result, error):
            raise
        hint = "the harness has finished and does not run again: correct `metrics`"
        raise EvaluationError(f"{error} ({hint})") from None
    if (record := result.record) is not None:
        identity = {**record.identity, "metrics": evaluation.identity.metrics}
        version = reader.PARSER_VERSION
        return replace(
            record,
            identity=identity,
            metrics=read.metrics,
            unscored=read.unscored,
            parser_version=version,
        )
    finished = result.finished
    manifest, apart = trees.manifest(result.artifacts, caches_of(evaluation.identity.adapter)), ""
    if len(manifest) > trees.MANY:
        attempts.check()
        apart = result.attempt.write_manifest(manifest)
        manifest = trees.head(manifest)
    return Completion(
        model=evaluation.model,
        benchmark=evaluation.benchmark,
        fingerprint=finished.fingerprint,
        identity=evaluation.identity.as_dict(),
        metrics=read.metrics,
        unscored=read.unscored,
        adapter=evaluation.identity.adapter,
        parser_version=reader.PARSER_VERSION,
        started=finished.started,
        finished=finished.finished,
        seconds=finished.seconds,
        attempt=result.attempt.number,
        runtime=finished.runtime,
        image=finished.image,
        image_digest=finished.image_digest,
        host=finished.host,
        versions=dict(finished.versions),
        manifest=manifest,
        manifest_apart=apart,
        health=dict(finished.health),
    )
