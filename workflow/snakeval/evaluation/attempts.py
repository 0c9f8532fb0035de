"""The attempts at an evaluation. Each writes to a directory of its own, and one is published.

``attempts/<n>/`` of an evaluation has:

====================== ====================================================================
``attempt.json``       the definition that it is an attempt at, and the lease's token
``artifacts/``         what its harness writes, until the attempt is published
``inputs/``            the files that its harness's command reads
``finished.json``      the harness ended with 0: all that a record needs, except the metrics
``failure.json``       why the harness failed
``manifest.json``      path, size and SHA-256 of each artifact, if there are very many
``completion-….json``  its record
====================== ====================================================================

Publication moves ``artifacts/`` of the attempt to ``artifacts/`` of the evaluation, and then writes
the record there. The published attempt is therefore the one without an ``artifacts/`` of its own. A
kill between two steps loses nothing: every step leaves enough for the next job to continue, without
a request.

Version 0bdcd8f had no such directories. Unfinished attempts wrote to ``artifacts/`` of the
evaluation, and ``attempts/<n>/`` held the results of earlier definitions. :meth:`Attempts.settle`
takes them in.

Long because one module knows the layout and each step between two states of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from snakeval.evaluation import trees
from snakeval.evaluation.directory import Attempt, EvaluationDirectory
from snakeval.evaluation.plain import build_known
from snakeval.evaluation.record import Completion, now
from snakeval.files import Directory, read_state, sealed, write_atomically

#: All artifacts: a harness about which nothing more is known resumes from them.
ALL = ("*",)


@dataclass(frozen=True, slots=True)
class Finished:
    """The harness of an attempt ended with 0, and its model was served until then.

    Attributes:
        sizes: the size in bytes of each artifact, by its relative path.
        unread: the reading that failed for good, because the harness has to run again for it.
        health: the data of :class:`snakeval.evaluation.health.Health`.
    """

    fingerprint: str
    started: str
    finished: str
    seconds: float
    runtime: str
    image: str
    image_digest: str
    host: str
    versions: Mapping[str, str]
    sizes: Mapping[str, int]
    unread: str = ""
    health: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finished:
        """Build it from the plain data of its file.

        Raises:
            ValueError: it is damaged.
        """
        return build_known(cls, data)

    @classmethod
    def of_record(cls, record: Completion) -> Finished:
        """Return what a record says about the attempt that it is of."""
        return cls(
            record.fingerprint,
            record.started,
            record.finished,
            record.seconds,
            record.runtime,
            record.image,
            record.image_digest,
            record.host,
            record.versions,
            {entry["path"]: entry["size"] for entry in record.manifest},
            health=record.health,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        poison: whether the point that the harness resumed from may be the cause.
        invalid: whether the results are worthless although the harness ended with 0.
    """

    reason: str
    poison: bool = False
    invalid: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Failure:
        """Build it from the plain data of its file.

        Raises:
            KeyError: it is damaged.
        """
        return cls(str(data["reason"]), bool(data.get("poison")), bool(data.get("invalid")))

    def is_like(self, other: Failure | None) -> bool:
        """Whether two harnesses failed alike. Times and counts may differ."""
        if other is None or not (self.poison and other.poison):
            return False
        return self.reason.translate(_NO_DIGITS) == other.reason.translate(_NO_DIGITS)


_NO_DIGITS = str.maketrans("", "", "0123456789")


class AttemptDirectory(Directory):
    """``attempts/<n>/`` of an evaluation and its files."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """The attempt's number."""
        return int(os.path.basename(self._place))  # noqa: PTH119

    @property
    def artifacts(self) -> Path:
        """The harness writes here. Absent once the attempt is published."""
        return Path(f"{self._place}/artifacts")

    @property
    def inputs(self) -> Path:
        """The files that the harness's command reads."""
        return Path(f"{self._place}/inputs")

    @property
    def logs(self) -> Path:
        """Logs that version 0bdcd8f moved here."""
        return Path(f"{self._place}/logs")

    @property
    def _note(self) -> Path:
        return Path(f"{self._place}/attempt.json")

    @property
    def _finished(self) -> Path:
        return Path(f"{self._place}/finished.json")

    @property
    def _failure(self) -> Path:
        return Path(f"{self._place}/failure.json")

    def read(self) -> Attempt | None:
        """Return the attempt; None if this is no attempt's directory, or is damaged."""
        return read_state(self._note, Attempt.from_dict)

    def read_finished(self) -> Finished | None:
        """Return what is known of the attempt if its harness has finished."""
        return read_state(self._finished, Finished.from_dict)

    def read_failure(self) -> Failure | None:
        """Return why the attempt failed, if it did."""
        return read_state(self._failure, Failure.from_dict)

    def write(self, attempt: Attempt) -> None:
        """Save what the attempt is."""
        write_atomically(self._note, sealed(asdict(attempt)))

    def finish(self, finished: Finished) -> None:
        """Note that the harness has finished."""
        write_atomically(self._finished, sealed(asdict(finished)))

    def fail(self, failure: Failure) -> None:
        """Note why the attempt failed."""
        write_atomically(self._failure, sealed(asdict(failure)))

    def forget_failure(self) -> None:
        """Remove the note of a failure, because the harness runs again."""
        self._failure.unlink(missing_ok=True)

    def records(self) -> list[Completion]:
        """Return the attempt's records; there are several only in directories of 0bdcd8f."""
        found = [read_state(path, Completion.from_dict) for path in self.record_files()]
        return [record for record in found if record is not None]

    @property
    def has_record(self) -> bool:
        """Whether it has a record, sound or damaged: its artifacts may be whole."""
        return bool(self.record_files())

    def record_files(self) -> list[Path]:
        """Return the files of the attempt's records."""
        return sorted(self.path.glob("completion-*.json"))

    def write_record(self, record: Completion) -> None:
        """Save the attempt's record, so that it survives what happens to the published one."""
        name = EvaluationDirectory(self.path).record(record.fingerprint).name
        write_atomically(self.path / name, record.to_json())

    def write_manifest(self, manifest: Sequence[Mapping[str, Any]]) -> str:
        """Save the whole manifest of many artifacts; return the SHA-256 of its file."""
        text = trees.manifest_text(manifest)
        write_atomically(EvaluationDirectory.manifest_of(self.path), text)
        return hashlib.sha256(text.encode()).hexdigest()

    def keep_only(self, patterns: Sequence[str]) -> None:
        """Remove all artifacts except those that fit *patterns*: the others are invalid."""
        for path in list(self.artifacts.rglob("*")):
            is_folder = path.is_dir() and not path.is_symlink()
            if not is_folder and not trees.fits(str(path.relative_to(self.artifacts)), patterns):
                path.unlink()

    def remove(self) -> None:
        """Remove the directory. Without its note it is no attempt's any more."""
        self._note.unlink(missing_ok=True)
        shutil.rmtree(self._place, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished attempt: where its artifacts are, and its record if the metrics were read."""

    attempt: AttemptDirectory
    artifacts: Path
    finished: Finished
    record: Completion | None


@dataclass
class Attempts:
    """The attempts at one evaluation, for the job that holds its lease.

    Attributes:
        check: raises an error if the lease is lost; called before every step of a publication.
        fingerprints: those that count as the definition of the evaluation.
    """

    directory: EvaluationDirectory
    fingerprints: Sequence[str]
    check: Callable[[], None] = field(default=lambda: None)

    # --- what is there --------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.directory.attempts

    def all(self) -> list[tuple[AttemptDirectory, Attempt]]:
        """Return the attempts, the newest first."""
        found = []
        for number in sorted(self._numbers(), reverse=True):
            directory = AttemptDirectory(self._folder / str(number))
            if (attempt := directory.read()) is not None:
                found.append((directory, attempt))
        return found

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [int(name) for name in names if name.isascii() and name.isdigit()]

    def _mine(self) -> list[tuple[AttemptDirectory, Attempt]]:
        return [found for found in self.all() if found[1].fingerprint in self.fingerprints]

    def published(self) -> AttemptDirectory | None:
        """Return the attempt whose artifacts are in ``artifacts/`` of the evaluation."""
        artifacts = self.directory.artifacts
        if not artifacts.is_dir():
            return None
        without = [found for found, _ in self.all() if not found.artifacts.is_dir()]
        for attempt in without:
            if any(self._is_whole(artifacts, record) for record in attempt.records()):
                return attempt
        return without[0] if without else None

    def result(self, reading: str = "") -> Result | None:
        """Return the newest attempt whose harness has finished and whose artifacts are whole.

        Without those in which *reading* has found no results.
        """
        published = self.published()
        for attempt, _ in self.all():
            artifacts = attempt.artifacts
            if not artifacts.is_dir():
                if published is None or attempt != published:
                    continue
                artifacts = self.directory.artifacts
            records = [r for r in attempt.records() if r.fingerprint in self.fingerprints]
            record = next((r for r in records if self._is_whole(artifacts, r)), None)
            finished = Finished.of_record(record) if record else attempt.read_finished()
            if finished is None or finished.fingerprint not in self.fingerprints:
                continue
            if record is None and reading and finished.unread == reading:
                continue
            if record or trees.is_as_large(artifacts, dict(finished.sizes)):
                return Result(attempt, artifacts, finished, record)
        return None

    # --- a new attempt --------------------------------------------------------------------

    def begin(
        self, token: str = "", caches: Sequence[str] = (), resumes: Sequence[str] = ALL
    ) -> AttemptDirectory:
        """Return the directory of a new attempt, with a copy of the point to resume from.

        *caches* are the patterns of artifacts that are true whatever became of the attempt that
        wrote them, and *resumes* those from which a harness continues an interrupted attempt.
        """
        self.settle()
        source, attempt = self._source(Attempt(0, self.fingerprints[0], now(), token))
        draft = self._folder / f".new-{uuid.uuid4().hex[:12]}"
        target = AttemptDirectory(draft)
        target.artifacts.mkdir(parents=True)
        if source is not None:
            artifacts, finished_or_invalid = source
            trees.copy(artifacts, target.artifacts, caches if finished_or_invalid else resumes)
        self.check()
        current = self.directory.read_attempt().number
        number = max([current, self.directory.last_log(), *self._numbers()]) + 1
        attempt = replace(attempt, number=number)
        target.write(attempt)
        # A process that has lost the lease may also begin an attempt: each gets its own number.
        begun = AttemptDirectory(self._folder / str(number))
        draft.rename(begun.path)
        self.directory.note_attempt(attempt)
        self.directory.logs.mkdir(exist_ok=True)
        self.directory.forget_failure()  # the log has it, and this attempt decides again
        self._prune(keep={attempt.resumes, attempt.suspects, attempt.number})
        return begun

    def _source(self, attempt: Attempt) -> tuple[tuple[Path, bool] | None, Attempt]:
        """Return the artifacts to resume from, and *attempt* with what it resumes.

        If two attempts failed alike and the second one resumed, its cache is suspect, and the next
        one starts without it. If that one also fails alike, the cache was not the cause.
        """
        tried = self._mine()
        if not tried:
            return None, attempt
        newest, last = tried[0]
        failure = newest.read_failure()
        if last.suspects:
            suspect = AttemptDirectory(self._folder / str(last.suspects))
            if failure is not None and failure.is_like(suspect.read_failure()):
                newest, attempt = suspect, replace(attempt, cleared=True)
        elif last.resumes and not last.cleared and len(tried) > 1:
            if failure is not None and failure.is_like(tried[1][0].read_failure()):
                return None, replace(attempt, suspects=newest.number)
        else:
            attempt = replace(attempt, cleared=last.cleared)
        artifacts = newest.artifacts
        ended = newest.read_finished() is not None or bool(newest.records())
        if not artifacts.is_dir():
            if newest != self.published():
                return None, attempt
            artifacts, ended = self.directory.artifacts, True
        failed = newest.read_failure()
        ended = ended or (failed is not None and failed.invalid)
        return (artifacts, ended), replace(attempt, resumes=newest.number)

    def _prune(self, keep: Iterable[int]) -> None:
        """Remove unfinished attempts at the same definition that nothing resumes from any more."""
        with contextlib.suppress(OSError):
            for attempt, _ in self._mine():
                unfinished = attempt.read_finished() is None and not attempt.records()
                if unfinished and attempt.number not in keep and attempt.artifacts.is_dir():
                    attempt.remove()
            for draft in self._folder.glob(".new-*"):
                shutil.rmtree(draft, ignore_errors=True)

    # --- publication ----------------------------------------------------------------------

    def publish(self, attempt: AttemptDirectory, record: Completion) -> None:
        """Make an attempt the result of the evaluation.

        Raises:
            LeaseLost: another process may work at the evaluation; it continues from any step.
            OSError: a file cannot be written.
        """
        self.settle()
        self.check()
        attempt.write_record(record)
        if attempt.artifacts.is_dir():
            self.check()
            self.directory.retract()
            if (published := self.published()) is not None:
                self.check()
                self.directory.artifacts.rename(published.artifacts)
            self.check()
            attempt.artifacts.rename(self.directory.artifacts)
            trees.flush_file(self.directory.path)
        self._bring_logs_back(attempt)
        self.directory.complete(record, self.check)
        self._prune(keep=[attempt.number])

    def _bring_logs_back(self, attempt: AttemptDirectory) -> None:
        """Move logs that version 0bdcd8f archived back to the others."""
        for log in attempt.logs.glob("attempt-*.log"):
            if not (there := self.directory.logs / log.name).exists():
                there.parent.mkdir(exist_ok=True)
                log.rename(there)

    def settle(self) -> None:
        """Bring ``artifacts/`` into the layout of this module, if it is not yet.

        An older version left them there, or a person. Artifacts without a record belong to their
        attempt.
        """
        artifacts = self.directory.artifacts
        if not artifacts.is_dir():
            return
        owner = self.published()
        if owner is None:
            with contextlib.suppress(OSError):
                artifacts.rmdir()  # empty
                return
            owner = self._take_in(artifacts)
        if owner.records():
            return
        if known := [r for r in self.directory.records() if self._is_whole(artifacts, r)]:
            owner.write_record(known[0])
            return
        self.check()
        artifacts.rename(owner.artifacts)

    def _take_in(self, artifacts: Path) -> AttemptDirectory:
        """Give artifacts without an attempt's directory one, with their record if they have one."""
        current = self.directory.read_attempt()
        known = self.directory.records()
        records = [record for record in known if self._is_whole(artifacts, record)]
        records = records or [r for r in known if r.fingerprint == current.fingerprint]
        number = records[0].attempt if records else current.number
        if number <= 0 or (self._folder / str(number)).exists():
            number = max([number, *self._numbers(), 0]) + 1
        draft = AttemptDirectory(self._folder / f".new-{uuid.uuid4().hex[:12]}")
        for record in records[:1]:
            current = Attempt(number, record.fingerprint, record.started)
            draft.write_record(record)
        draft.write(replace(current, number=number))
        taken = AttemptDirectory(self._folder / str(number))
        draft.path.rename(taken.path)
        return taken

    def _is_whole(self, artifacts: Path, record: Completion) -> bool:
        entries = self.directory.whole_manifest(record) or record.manifest
        return trees.is_as_large(artifacts, {entry["path"]: entry["size"] for entry in entries})
