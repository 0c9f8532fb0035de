"""Removes what finished evaluations no longer need: stored requests, and attempts without a result.

The counts of the requests and the recorded health stay, and so does each attempt with a record. An
evaluation that is not finished, or that something works at, loses nothing. The lease of each
evaluation is held meanwhile, so that no job starts at it.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from snakeval.errors import ConfigError
from snakeval.evaluation.attempts import AttemptDirectory, Attempts
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.files import DAMAGE
from snakeval.lease import Lease, LeaseLost
from snakeval.ledger import summary
from snakeval.results import health
from snakeval.run.heads import heads
from snakeval.run.plan import Planned
from snakeval.run.target import Target


@dataclass(frozen=True, slots=True)
class What:
    """The things to remove."""

    requests: bool = False
    failed_attempts: bool = False


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The things of one evaluation that can go, or are gone.

    Attributes:
        requests, attempts: bytes of both that become free.
        shared: bytes to which another run has links, and which stay on the disk.
        places: how many directories.
        kept: why it keeps everything or a part, or an empty text.
        failed: whether a later call can remove what it keeps.
    """

    id: str
    requests: int = 0
    attempts: int = 0
    shared: int = 0
    places: int = 0
    kept: str = ""
    failed: bool = False


def look(target: Target, what: What) -> list[Cleaned]:
    """Return what :func:`clean` would remove. Nothing is removed, and no lease is taken.

    Raises:
        ConfigError: something works at the run.
    """
    _refuse_live_heads(target, writes=False)
    return [_look_at(*each, what) for each in _evaluations(target)]


def clean(
    target: Target,
    what: What,
    *,
    pause: Callable[[float], None] = time.sleep,
    silence: float = summary.STALE,
) -> list[Cleaned]:
    """Remove *what* from the finished evaluations of *target*, and return what became free.

    A gateway that this machine cannot see counts as dead after *silence* seconds without a beat;
    *pause* sleeps between two looks at it.

    Raises:
        ConfigError: something works at the run.
    """
    _refuse_live_heads(target)
    return [_clean_one(*each, what, pause, silence) for each in _evaluations(target)]


def _refuse_live_heads(target: Target, *, writes: bool = True) -> None:
    for head in heads(target.run, writes=writes):
        raise ConfigError(
            f"run {target.entry.id}: Snakemake works at it (process {head.pid} on {head.host}); "
            f"wait for its end, or stop it: `snakeval kill {target.entry.id}`"
        )


def _evaluations(target: Target) -> Iterator[tuple[EvaluationDirectory, Planned]]:
    for item in target.run.plan():
        if target.covers(item.model, item.benchmark) and not item.left_out:
            yield target.run.evaluation(item.id), item


def _look_at(directory: EvaluationDirectory, item: Planned, what: What) -> Cleaned:
    try:
        done = _finished(directory, item)
        if isinstance(done, str):
            return Cleaned(item.id, kept=done)
        found = Cleaned(item.id)
        for is_request, place in _places(directory, done, what):
            found = _plus(found, _size(place), is_request)
        if found.places and _Holder(directory)():
            return Cleaned(item.id, kept=_HELD, failed=True)
        if found.places and any(map(_drains_here, _requests(directory))):
            return Cleaned(item.id, kept=_DRAINS, failed=True)
        return found
    except (OSError, *DAMAGE) as error:
        return Cleaned(item.id, kept=_problem(error), failed=True)


_HELD = "a job works at it"
_DRAINS = "its gateway finishes requests"


def _clean_one(
    directory: EvaluationDirectory,
    item: Planned,
    what: What,
    pause: Callable[[float], None],
    silence: float,
) -> Cleaned:
    found = Cleaned(item.id)
    try:
        done = _finished(directory, item)
        if isinstance(done, str):
            return replace(found, kept=done)
        if not any(True for _ in _places(directory, done, what)):
            return found
        heartbeat, stale = directory.lease_times()
        holds = _Holder(directory)
        with Lease(directory.lease, done=holds, heartbeat=heartbeat, stale=stale) as lease:
            if not lease.acquired:
                return replace(found, kept=_HELD, failed=True)
            if any(_drains(place, pause, silence) for place in _requests(directory)):
                return replace(found, kept=_DRAINS, failed=True)
            # Another command may have changed the definition, or the result, meanwhile.
            done = _finished(directory, item)
            if isinstance(done, str):
                return replace(found, kept=done)
            for is_request, place in _places(directory, done, what):
                lease.check()
                before = _size(place)
                _remove(place, is_attempt=not is_request)
                found = _plus(found, before, is_request)
    except LeaseLost:
        return replace(found, kept=_HELD, failed=True)
    except (OSError, *DAMAGE) as error:
        return replace(found, kept=_problem(error), failed=True)
    return found


def _problem(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be looked at or removed ({error.strerror})"
    return str(error)


def _finished(directory: EvaluationDirectory, item: Planned) -> Completion | str:
    """Return the completion that a next command reuses, or why there is none."""
    done = directory.find_completion(item.fingerprint)
    if not isinstance(done, Completion):
        return f"it is not finished: {done.reason}"
    # This also keeps the health of an older record as the present version counts it.
    verdict = health.verdict(directory, done)
    if verdict.fails:
        return f"its health fails: {verdict.reason}"
    return done


def _places(
    directory: EvaluationDirectory, done: Completion, what: What
) -> Iterator[tuple[bool, Path]]:
    """Yield each directory that can go, and whether it has stored requests."""
    for requests in _requests(directory) if what.requests else ():
        # The files beside them are the counts, which money and health are read from.
        for place in sorted(requests.iterdir()) if requests.is_dir() else ():
            if place.is_dir() and not place.is_symlink():
                yield True, place
    if what.failed_attempts:
        for attempt in _failed(directory, done):
            yield False, attempt.path


def _requests(directory: EvaluationDirectory) -> tuple[Path, Path]:
    return directory.requests, directory.requests_by_hand


def _failed(directory: EvaluationDirectory, done: Completion) -> Iterator[AttemptDirectory]:
    """Yield the attempts whose results nothing can use again.

    An attempt at another definition whose harness has finished stays, also without a record: its
    results count again when that definition does.
    """
    published = Attempts(directory, [done.fingerprint]).published()
    kept = {done.attempt, published.number if published is not None else done.attempt}
    if not directory.attempts.is_dir():
        return
    for place in sorted(directory.attempts.iterdir()):
        if not (place.name.isascii() and place.name.isdigit()) or place.is_symlink():
            continue
        attempt = AttemptDirectory(place)
        if attempt.number in kept or attempt.has_record:
            continue
        finished = attempt.read_finished()
        if finished is None or finished.fingerprint == done.fingerprint:
            yield attempt


def _remove(place: Path, *, is_attempt: bool) -> None:
    """Remove a directory.

    Raises:
        OSError: a part of it cannot be removed.
    """
    if is_attempt:
        AttemptDirectory(place).remove()  # its note first: half a directory is no attempt
    if place.exists():
        shutil.rmtree(place)


class _Holder:
    """Asks whether the lease of an evaluation has a live holder: one seen, or one that renews it.

    A lease without either becomes stale, and its next holder takes it over.
    """

    def __init__(self, directory: EvaluationDirectory) -> None:
        self._directory = directory
        self._first: tuple[str, int] | None = None

    def __call__(self) -> bool:
        try:
            holder = self._directory.holder()
        except (OSError, ValueError):
            return False  # a damaged lease, which the next holder replaces
        if holder is None:
            return False
        seen = (holder.id, holder.beat)
        self._first = self._first or seen
        return holder.lives is True or seen != self._first


class _Beats(Exception):
    """A gateway on another machine lives."""


def _drains_here(requests: Path) -> bool:
    return summary.lives_here(requests / "gateway") is not None


def _drains(requests: Path, pause: Callable[[float], None], silence: float) -> bool:
    """Whether a gateway lives. It drains for some time after its job has died."""
    path = requests / "gateway"
    first = summary.lives(path)
    if first and _drains_here(requests):
        return True

    def wait(seconds: float) -> None:
        pause(seconds)
        if summary.lives(path) not in (first, b""):
            raise _Beats

    try:
        summary.wait_for_end(path, wait, silence)
    except _Beats:
        return True
    return False


def _size(place: Path) -> tuple[int, int]:
    """Return the bytes of files that become free, and of those that have another name elsewhere."""
    freed = shared = 0
    for folder, _, names in os.walk(place):
        for name in names:
            found = Path(folder, name).lstat()
            if stat.S_ISREG(found.st_mode):
                freed += found.st_size * (found.st_nlink == 1)
                shared += found.st_size * (found.st_nlink > 1)
    return freed, shared


def _plus(found: Cleaned, size: tuple[int, int], is_request: bool) -> Cleaned:
    freed, shared = size
    found = replace(found, shared=found.shared + shared, places=found.places + 1)
    if is_request:
        return replace(found, requests=found.requests + freed)
    return replace(found, attempts=found.attempts + freed)
