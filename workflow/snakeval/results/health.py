"""The health of a finished evaluation as a run's table and report show it, and its verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from snakeval.evaluation.attempts import AttemptDirectory
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.health import HEALTH_VERSION, Answers, Health
from snakeval.evaluation.record import LEDGER, Completion
from snakeval.evaluation.verdict import Verdict, judge
from snakeval.files import DAMAGE, has_seal, read_json, sealed, write_if_changed
from snakeval.ledger.summary import folder_of
from snakeval.run.directory import RunDirectory


def current(directory: EvaluationDirectory, done: Completion) -> Health:
    """Return the health in a record; that of an earlier version is read again from the journal.

    If the journal is gone, the health stays as it was recorded.
    """
    known = Health.read(done.health)
    if done.health and known.version >= HEALTH_VERSION:
        return known
    mode = done.versions.get(LEDGER, "off")
    if mode == "off":
        return known
    cache = directory.cache("health", done.fingerprint, HEALTH_VERSION, done.attempt)
    with contextlib.suppress(OSError, *DAMAGE):
        kept = read_json(str(cache))
        if kept is not None and has_seal(kept):
            return Health.from_dict(kept["health"])
    if mode == "on" and known.models and not _has_journals(directory, known):
        return known
    found = _read_again(directory, done, mode, known)
    if found.unknown and known.models:
        return known
    with contextlib.suppress(OSError):  # the user can read this run but not write it
        write_if_changed(cache, sealed({"health": found.as_dict()}))
    return found


def _has_journals(directory: EvaluationDirectory, known: Health) -> bool:
    """Whether there is a journal of each model that answered; `snakeval clean` removes them."""
    from snakeval.ledger.journal import files_of

    answered = [name for name, each in known.models.items() if each.answered or each.refused]
    return all(files_of(folder_of(directory.requests, name)) for name in answered)


def _read_again(
    directory: EvaluationDirectory, done: Completion, mode: str, known: Health
) -> Health:
    """Read health from the journal of the definition in a record."""
    from snakeval.evaluation.health_reading import read_health
    from snakeval.evaluation.requests import answer_identity

    models = {done.model: done.identity, **(done.identity.get("auxiliary") or {})}
    identities = {name: answer_identity(model) for name, model in models.items()}
    found = read_health(directory, mode, identities)
    return Health(found.models, known.samples, known.unparsed, found.unknown)


def verdict(directory: EvaluationDirectory, done: Completion) -> Verdict:
    """Return what the rules of the last command find in the health of a finished evaluation."""
    return _judged(directory, current(directory, done))


def recorded_answers(
    directory: EvaluationDirectory, model: str, recorded: object
) -> tuple[Answers, str]:
    """Return the answers of *model* in the health of a record, and what its rules warn of.

    It reads no journal.
    """
    health = Health.read(recorded)
    return health.models.get(model, Answers()), _judged(directory, health).warning


def of_failure(directory: EvaluationDirectory) -> Verdict | None:
    """Return the verdict on the newest attempt, if its harness has finished; else None."""
    try:
        number = directory.read_attempt().number
    except OSError:
        return None
    finished = AttemptDirectory(directory.attempts / str(number)).read_finished()
    if finished is None or not finished.health:
        return None
    return _judged(directory, Health.read(finished.health))


def _judged(directory: EvaluationDirectory, health: Health) -> Verdict:
    rules, names = _rules(directory)
    try:
        return replace(judge(health, rules, names), run=RunDirectory.of(directory).id)
    except DAMAGE as error:
        return Verdict(unknown=f"its rules are damaged ({error})")


def _rules(directory: EvaluationDirectory) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    try:
        transport = directory.read_transport()
    except (OSError, ValueError):
        return {}, {}
    return transport.get("health") or {}, transport.get("answers_as") or {}
