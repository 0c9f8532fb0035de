"""An evaluation's directory: its artifacts, its attempts, and the record that says it is done.

The record is written first to ``.snakeval/``, which Snakemake does not know of and so never
deletes, and then published as ``evaluation.json``, the declared output. A record counts only if
its fingerprint fits and its artifacts are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from snakeval.files import write_atomically

RECORD_FORMAT = 1
#: Raise it when intervals of scores are worked out in another way: tables are then made anew.
INTERVALS_VERSION = 2


@dataclass(frozen=True, slots=True)
class Metric:
    """One score.

    Attributes:
        task: the harness's task (a benchmark may report several).
        metric: its name, such as ``exact_match``.
        filter: how the answer was extracted, where the harness says so.
        value: a finite number in the harness's own scale.
        stderr: its standard error in the same scale, where the harness says it.
        n: how many samples it is over, where the harness says it.
        higher_is_better: None where the harness does not say.
    """

    task: str
    metric: str
    value: float
    filter: str = ""
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The completion record: all that is known of a finished evaluation, with no secret."""

    model: str
    benchmark: str
    fingerprint: str
    identity: dict[str, Any]
    metrics: tuple[Metric, ...]
    adapter: str
    parser_version: int
    started: str
    finished: str
    seconds: float
    attempt: int
    runtime: str
    image: str
    image_digest: str
    host: str
    versions: dict[str, str]
    manifest: tuple[dict[str, Any], ...] = field(default=())

    def to_json(self) -> str:
        """Serialise the record."""
        return json.dumps({"format": RECORD_FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Completion:
        """Read a record.

        Raises:
            ValueError: it is no record of this format.
        """
        try:
            data = json.loads(text)
            if data.pop("format") != RECORD_FORMAT:
                raise ValueError("a record of another format")
            data["metrics"] = tuple(Metric(**metric) for metric in data["metrics"])
            data["manifest"] = tuple(data["manifest"])
            return cls(**data)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a completion record: {error}") from None


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def manifest(artifacts: Path, ignore: Sequence[str] = ()) -> tuple[dict[str, Any], ...]:
    """Return path, size in bytes and SHA-256 of every file below *artifacts*.

    *ignore* are shell patterns of relative paths: a harness's caches are no results.
    """
    entries = []
    for path in _files(artifacts):
        relative = path.relative_to(artifacts).as_posix()
        if not any(fnmatchcase(relative, pattern) for pattern in ignore):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            entries.append({"path": relative, "size": path.stat().st_size, "sha256": content})
    return tuple(entries)


def _files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(folder, name)).is_file())


class EvaluationDirectory:
    """``<run>/<model>/<benchmark>/`` and what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.artifacts = path / "artifacts"
        self.logs = path / "logs"
        self.log = self.logs / "harness.log"
        self.attempts = path / "attempts"
        self.published = path / "evaluation.json"
        self.failure = path / "failure.json"
        self.private = path / ".snakeval"
        self.spec = self.private / "evaluation.json"
        self._attempt = self.private / "attempt.json"

    def attempt_log(self, attempt: int) -> Path:
        """What an attempt's harness printed. Not declared, so Snakemake never deletes it."""
        return self.logs / f"attempt-{attempt}.log"

    def show_log(self, attempt: int) -> None:
        """Make ``logs/harness.log``, the declared log, lead to the attempt's."""
        draft = self.logs / f".harness.log.{os.getpid()}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(self.attempt_log(attempt).name)
        draft.replace(self.log)

    def record(self, fingerprint: str) -> Path:
        """Where the undeclared completion record of *fingerprint* stands."""
        return self.private / f"completion-{fingerprint[:16]}.json"

    def completion(self, fingerprint: str) -> Completion | None:
        """Return the completion of *fingerprint* if there is one and its artifacts are whole.

        Whole means: each file is there with its size. Contents are not read, so that adopting
        takes milliseconds; the checksums are there for whoever doubts.
        """
        try:
            found = Completion.from_json(self.record(fingerprint).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if found.fingerprint != fingerprint:
            return None
        for entry in found.manifest:
            try:
                if (self.artifacts / entry["path"]).stat().st_size != entry["size"]:
                    return None
            except OSError:
                return None
        return found

    @property
    def attempted(self) -> str:
        """The fingerprint that the artifacts are of, or nothing."""
        return str(self._read_attempt().get("fingerprint", ""))

    def begin(self, fingerprint: str) -> int:
        """Make the directory ready for an attempt at *fingerprint*; return the attempt's number.

        Artifacts of the same fingerprint stay: they are the point to resume from. Those of
        another move to ``attempts/<n>/``, and if an archived attempt finished this fingerprint,
        it moves back.
        """
        self.private.mkdir(parents=True, exist_ok=True)
        current = self._read_attempt()
        number = int(current.get("number", 0))
        if current.get("fingerprint") != fingerprint:
            self._archive(current)
            number = max(number, self._last_archived())
            self._restore(fingerprint)
        for directory in (self.artifacts, self.logs):
            directory.mkdir(exist_ok=True)
        self.failure.unlink(missing_ok=True)  # the log has it, and this attempt decides anew
        attempt = {"fingerprint": fingerprint, "number": number + 1, "started": now()}
        write_atomically(self._attempt, json.dumps(attempt))
        return number + 1

    def _read_attempt(self) -> dict[str, Any]:
        try:
            data = json.loads(self._attempt.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _last_archived(self) -> int:
        numbers = [int(p.name) for p in self.attempts.glob("[0-9]*") if p.name.isdigit()]
        return max(numbers, default=0)

    def _archive(self, attempt: dict[str, Any]) -> None:
        moving = [p for p in (self.artifacts, self.logs, self.failure) if p.exists()]
        moving += self.private.glob("completion-*.json")
        if not any(p.is_file() or any(p.iterdir()) for p in moving):
            return
        target = self.attempts / str(self._last_archived() + 1)
        target.mkdir(parents=True)
        for path in moving:
            path.rename(target / path.name)
        write_atomically(target / "attempt.json", json.dumps(attempt))

    def _restore(self, fingerprint: str) -> None:
        for archived in sorted(self.attempts.glob(f"*/{self.record(fingerprint).name}")):
            for path in (archived.parent / "artifacts", archived.parent / "logs"):
                if path.exists():
                    path.rename(self.path / path.name)
            archived.rename(self.record(fingerprint))
            shutil.rmtree(archived.parent)
            return

    def complete(self, completion: Completion) -> None:
        """Write the record where it survives, then publish it."""
        write_atomically(self.record(completion.fingerprint), completion.to_json())
        self.failure.unlink(missing_ok=True)
        self.publish(completion)

    def publish(self, completion: Completion) -> None:
        """Make the record the declared output, and its attempt's log the declared log."""
        if self.attempt_log(completion.attempt).exists():
            self.show_log(completion.attempt)
        write_atomically(self.published, completion.to_json())

    def fail(self, reason: str, **details: Any) -> None:
        """Leave the reason of a failure where people and ``status`` find it."""
        data = {"reason": reason, "time": now(), **details}
        write_atomically(self.failure, json.dumps(data, indent=1))

    def failure_reason(self) -> str:
        """Return the one-line reason of the last attempt's failure, or nothing."""
        try:
            data = json.loads(self.failure.read_text(encoding="utf-8"))
            # A harness may have printed half a surrogate, which no file of ours can hold.
            return str(data["reason"]).encode("utf-8", "replace").decode()
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def unended_attempt(self, fingerprint: str) -> int:
        """Return the number of an attempt at *fingerprint* without an end, or 0.

        It runs, or it was interrupted.
        """
        attempt = self._read_attempt()
        if attempt.get("fingerprint") != fingerprint or self.failure.exists():
            return 0
        return int(attempt.get("number", 0))
