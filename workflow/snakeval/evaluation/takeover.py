"""Gives an evaluation the result and the stored answers of another one with an equal definition.

Two steps of a series with equal weights have one evaluation. If the checkpoint of that one is
overwritten, the other step takes its result over, and nothing is asked again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakeval.evaluation.attempts import AttemptDirectory, Attempts, Result
from snakeval.evaluation.directory import Attempt, EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.lease import Lease
from snakeval.ledger import brought
from snakeval.ledger.summary import folder_of, name_of


def take_over(source: EvaluationDirectory, own: EvaluationDirectory, fingerprint: str) -> None:
    """Copy what *source* has of the definition *fingerprint* to *own*, unless that has its result.

    Raises:
        OSError: a file cannot be copied, or disappears meanwhile.
        LeaseLost: another process may work at the evaluation.
    """
    if own.completion(fingerprint) is not None or not source.exists:
        return
    own.private.mkdir(parents=True, exist_ok=True)
    with Lease(own.lease, done=lambda: own.completion(fingerprint) is not None) as lease:
        if not lease.acquired:
            return
        _link_answers(source, own)
        found = Attempts(source, (fingerprint,)).result()
        if found is not None and found.record is not None:
            _copy_result(source, found, found.record, own, lease.check)


def _copy_result(
    source: EvaluationDirectory,
    found: Result,
    record: Completion,
    own: EvaluationDirectory,
    check: Callable[[], None],
) -> None:
    """Publish a copy of a finished attempt as an attempt of *own*."""
    attempts = Attempts(own, (record.fingerprint,), check)
    number = max([own.last_log(), *(each.number for each, _ in attempts.all())], default=0) + 1
    draft = AttemptDirectory(own.attempts / f".new-{uuid.uuid4().hex[:12]}")
    shutil.copytree(found.artifacts, draft.artifacts, symlinks=True)
    for file in found.attempt.path.iterdir():
        if file.is_file() and file not in found.attempt.record_files():
            shutil.copy2(file, draft.path)
    attempt = Attempt(number, record.fingerprint, record.started, token="")
    draft.write(attempt)
    with contextlib.suppress(FileNotFoundError):
        own.logs.mkdir(exist_ok=True)
        shutil.copy2(source.attempt_log(record.attempt), own.attempt_log(number))
    check()
    copied = AttemptDirectory(own.attempts / str(number))
    draft.path.rename(copied.path)
    own.note_attempt(attempt)
    health = _renamed(record.health, source.model, own.model)
    attempts.publish(copied, replace(record, model=own.model, attempt=number, health=health))


def _renamed(health: Mapping[str, Any], old: str, new: str) -> Mapping[str, Any]:
    """Return the health of a record, in which a model has another name."""
    models = health.get("models")
    if not isinstance(models, Mapping) or old not in models:
        return health
    renamed = {new if name == old else name: found for name, found in models.items()}
    return {**health, "models": renamed}


def _link_answers(source: EvaluationDirectory, own: EvaluationDirectory) -> None:
    """Give *own* links to the journals of *source*, of models whose answers it has not yet.

    A gateway never writes to a file of an earlier one, so the links are safe.
    """
    for folder in sorted(source.requests.glob("*/")):
        name = name_of(folder)
        target = folder_of(own.requests, own.model if name == source.model else name)
        files = sorted(folder.glob("*.journal"))
        if not files or target.exists():
            continue
        own.requests.mkdir(exist_ok=True)
        # Not beside the others: what a killed start leaves is no journal.
        draft = own.private / f"answers-{uuid.uuid4().hex[:12]}"
        draft.mkdir()
        brought.note(draft, (file.name for file in files))
        for file in files:
            link(file, draft / file.name)
        draft.rename(target)


def link(source: Path, target: Path) -> None:
    """Make *target* a link to a file, or a copy of it, unless it is there."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # another disk, another user's file, or a file system without links
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, draft)
        draft.replace(target)
