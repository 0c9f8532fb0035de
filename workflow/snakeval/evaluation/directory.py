"""The directory of one evaluation: its paths, and what is in its files."""
# ruff: noqa: PTH110, PTH116, PTH123

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Completion, now
from snakeval.files import read_json, write_atomically
from snakeval.lease import HEARTBEAT_SECONDS, STALE_SECONDS, Holder


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


def container_name(directory: EvaluationDirectory) -> str:
    """Return the one name that any attempt at this evaluation uses on this machine."""
    return f"snakeval-{hashlib.sha256(str(directory.path.resolve()).encode()).hexdigest()[:16]}"


def evaluation_directory(run: Path, evaluation: Evaluation) -> EvaluationDirectory:
    """Return ``<run>/<model>/<benchmark>/``."""
    return EvaluationDirectory(run / evaluation.model / evaluation.benchmark)


def has_record(place: str, fingerprint: str) -> bool:
    """Whether the evaluation at *place* has a record of *fingerprint*, whole or not."""
    return os.path.exists(_record(place, fingerprint))


def has_failure(place: str) -> bool:
    """Whether the evaluation at *place* has left the reason of a failure."""
    return os.path.exists(f"{place}/failure.json")


def completion(place: str, fingerprint: str) -> tuple[dict[str, Any] | None, bool]:
    """Return the record, and whether it counts, as ``EvaluationDirectory.completion`` says it."""
    try:
        record = read_json(_record(place, fingerprint))
    except ValueError:
        return None, False
    if record is None or record["fingerprint"] != fingerprint:
        return None, False
    for entry in record["manifest"]:
        try:
            if os.stat(f"{place}/artifacts/{entry['path']}").st_size != entry["size"]:
                return record, False
        except (FileNotFoundError, NotADirectoryError):
            return record, False
    return record, True


def _record(place: str, fingerprint: str) -> str:
    return f"{place}/.snakeval/completion-{fingerprint[:16]}.json"


@dataclass(frozen=True, slots=True)
class Held:
    """The lease of the evaluation at ``place``, and when its file was written last."""

    place: str
    holder: Holder
    renewed: float

    @classmethod
    def read(cls, place: str) -> Held | None:
        """Read it, if there is one.

        Raises:
            OSError, ValueError: it is there, and cannot be read.
        """
        try:
            # Opened, so that NFS asks its server what stands under the name now.
            with open(f"{place}/.snakeval/lease", encoding="utf-8") as file:
                return cls(place, Holder.read(file.read()), os.fstat(file.fileno()).st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def times(self) -> tuple[float, float]:
        """How often the holder renews it, and when it is stale, in seconds."""
        spec: Mapping[str, Any] = read_json(f"{self.place}/.snakeval/evaluation.json") or {}
        transport = spec.get("transport") or {}
        return (
            float(transport.get("heartbeat") or HEARTBEAT_SECONDS),
            float(transport.get("stale") or STALE_SECONDS),
        )
