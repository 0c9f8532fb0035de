"""The directory of one evaluation: the only module that knows its files' names and formats.

An object of this module holds a path as text and nothing else. Construction reads nothing, and
each property makes its path when it is asked, so that ten thousand of them cost milliseconds.

Long because one owner holds all files of an evaluation.
"""
# ruff: noqa: PTH110, PTH112, PTH116, PTH119, PTH120, PTH208

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from snakeval.errors import EvaluationError
from snakeval.evaluation import trees
from snakeval.evaluation.record import Completion, checked, now
from snakeval.files import (
    DAMAGE,
    Directory,
    NotAFileError,
    has_seal,
    json_object,
    json_value,
    lead,
    make_way,
    read_bytes,
    read_json,
    read_state,
    read_text,
    sealed,
    set_aside,
    without_waiting,
    write_atomically,
    write_if_changed,
)
from snakeval.lease import HEARTBEAT_SECONDS, STALE_SECONDS, Holder
from snakeval.ledger.plain_text import visible

if TYPE_CHECKING:
    from snakeval.evaluation.definition import Evaluation

_RECORD = "evaluation.json"

#: More than a lease has.
_LEASE_BYTES = 1 << 16


class Kind(StrEnum):
    """Why an evaluation is not finished, the least informative first."""

    ABSENT = "absent"
    OTHER_DEFINITION = "other_definition"
    UNHEALTHY = "unhealthy"
    DAMAGED = "damaged"
    ARTIFACTS = "artifacts"
    UNREADABLE = "unreadable"

    @property
    def weight(self) -> int:
        """The rank of the kind: if records disagree, the most informative one counts."""
        return _WEIGHTS[self]


_WEIGHTS = {kind: weight for weight, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Why an evaluation is not finished, as a kind for code and a sentence for people.

    ``record`` is the plain data of a sound record whose artifacts are not as they were.
    """

    kind: Kind
    reason: str
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at an evaluation. ``number`` is 0 if there was none.

    Attributes:
        fingerprint: the definition that it is an attempt at.
        token: the id of its lease; None in notes of versions that had no directories of attempts.
        resumes: the attempt whose artifacts it started with, or 0.
        suspects: the attempt whose artifacts it left out, as they may be the cause of failures.
        cleared: whether an attempt without these artifacts failed alike.
    """

    number: int = 0
    fingerprint: str = ""
    started: str = ""
    token: str | None = None
    resumes: int = 0
    suspects: int = 0
    cleared: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Attempt:
        """Build it from the plain data of its note. Other versions may add fields.

        Raises:
            ValueError, TypeError: it is no note of an attempt.
        """
        token = data.get("token")
        return cls(
            int(data.get("number") or 0),
            _text(data.get("fingerprint")),
            _text(data.get("started")),
            None if token is None else _text(token),
            int(data.get("resumes") or 0),
            int(data.get("suspects") or 0),
            bool(data.get("cleared")),
        )


def _text(value: object) -> str:
    if not isinstance(value, str | None):
        raise ValueError("a text is missing")
    return value or ""


class JobDirectory(Directory, ABC):
    """``<run>/<model>/<name>/``: what the directories of all jobs share, above all a failure."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """``<model>/<name>``, as people write it."""
        return "/".join(self._place.rsplit("/", 2)[-2:])

    @property
    def model(self) -> str:
        """The model's name."""
        return os.path.basename(os.path.dirname(self._place))

    def failed(self, reason: str) -> str:
        """Return the sentence that the job failed for *reason*, which may already begin like it."""
        own = f"{os.path.basename(self._place)} failed: "
        return f"{self.name} failed: {reason.removeprefix(own)}"

    @property
    def run_path(self) -> Path:
        """The run's directory. Use :meth:`snakeval.run.directory.RunDirectory.of`."""
        return Path(os.path.dirname(os.path.dirname(self._place)))

    @property
    @abstractmethod
    def script(self) -> Path:
        """The script that does the same by hand."""

    def write_script(self, text: str) -> None:
        """Save the script that does the same by hand."""
        write_if_changed(self.script, text, mode=0o755)

    @property
    @abstractmethod
    def events(self) -> Path:
        """The journal of events; see :mod:`snakeval.evaluation.events`."""

    @property
    @abstractmethod
    def timings(self) -> Path:
        """How long harnesses or servers ran, in runs that have no events."""

    # --- failure --------------------------------------------------------------------------

    @property
    def failure(self) -> Path:
        """Why the last attempt failed."""
        return Path(f"{self._place}/failure.json")

    def has_failure(self) -> bool:
        """Whether the last attempt left the reason of a failure."""
        return os.path.exists(f"{self._place}/failure.json")

    def fail(self, reason: str, **details: Any) -> None:
        """Leave the reason of a failure for people, ``status`` and the table."""
        data = {"reason": visible(reason), "time": now(), **details}
        write_atomically(self.failure, json.dumps(data, indent=1))

    def forget_failure(self) -> None:
        """Remove the reason of a failure."""
        self.failure.unlink(missing_ok=True)

    def read_failure(self) -> dict[str, Any] | None:
        """Return ``reason``, ``time`` and details of the last attempt's failure, if it failed.

        Raises:
            OSError, ValueError: the file exists and cannot be read.
        """
        found = read_json(f"{self._place}/failure.json")
        if found is not None and isinstance(reason := found.get("reason"), str):
            found["reason"] = visible(reason)
        return found

    def failure_reason(self) -> str:
        """Return the one-line reason of the last attempt's failure, or nothing."""
        try:
            return str((self.read_failure() or {})["reason"])
        except (OSError, ValueError, KeyError):
            return ""


class EvaluationDirectory(JobDirectory):
    """``<run>/<model>/<benchmark>/`` and its files.

    The completion record is written first to a private folder. Snakemake does not know that
    folder, so it never deletes the record. Then the record is published as ``evaluation.json``,
    the declared output. A record counts only if its fingerprint fits and its artifacts are there.
    """

    __slots__ = ()

    @classmethod
    def of_record(cls, record: Path | str) -> Self:
        """Return the directory of an evaluation whose declared output is *record*."""
        return cls(os.path.dirname(os.fspath(record)))

    # --- paths ----------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """The published record, as the rule ``evaluate`` declares its output."""
        return f"{self._place}/{_RECORD}"

    @property
    def published(self) -> Path:
        """The published record."""
        return Path(self.output)

    @property
    def artifacts(self) -> Path:
        """The harness's output."""
        return Path(f"{self._place}/artifacts")

    @property
    def logs(self) -> Path:
        """The folder of the logs of attempts."""
        return Path(f"{self._place}/logs")

    @property
    def log(self) -> Path:
        """The declared log: a link to the newest attempt's."""
        return Path(f"{self._place}/logs/harness.log")

    @property
    def attempts(self) -> Path:
        """The directories of attempts; see :mod:`snakeval.evaluation.attempts`."""
        return Path(f"{self._place}/attempts")

    @property
    def script(self) -> Path:
        """``run.sh``, which runs the harness by hand."""
        return Path(f"{self._place}/run.sh")

    @property
    def by_hand(self) -> Path:
        """The results of a harness that ``run.sh`` starts. snakeval never reads them."""
        return Path(f"{self._place}/by-hand")

    @property
    def requests(self) -> Path:
        """The journals of requests, one folder for each model, and their summary."""
        return Path(f"{self._place}/requests")

    @property
    def requests_by_hand(self) -> Path:
        """The journals of the gateway that ``run.sh`` starts, in a folder of its own."""
        return Path(f"{self._place}/.snakeval/by-hand/requests")

    @property
    def private(self) -> Path:
        """The folder that Snakemake does not know of."""
        return Path(f"{self._place}/.snakeval")

    @property
    def spec(self) -> Path:
        """The evaluation's definition, for the job."""
        return Path(f"{self._place}/.snakeval/{_RECORD}")

    @property
    def inputs(self) -> Path:
        """The files that the harness's command reads."""
        return Path(f"{self._place}/.snakeval/inputs")

    @property
    def lease(self) -> Path:
        """The attempt lease."""
        return Path(f"{self._place}/.snakeval/lease")

    @property
    def events(self) -> Path:
        """The events of all attempts; see :mod:`snakeval.evaluation.events`."""
        return Path(f"{self._place}/.snakeval/events.jsonl")

    @property
    def timings(self) -> Path:
        """How long harnesses ran, in runs that have no events."""
        return Path(f"{self._place}/.snakeval/spent.jsonl")

    @property
    def killed(self) -> Path:
        """Which Snakemakes must not start this evaluation again."""
        return Path(f"{self._place}/.snakeval/killed.json")

    @property
    def live_log(self) -> Path:
        """Which job's log on another machine is copied to which of the logs, and how far."""
        return Path(f"{self._place}/.snakeval/live-log.json")

    @property
    def remote_job(self) -> Path:
        """The job that an executor's plugin runs for this evaluation on another machine."""
        return Path(f"{self.output}.job")

    @property
    def was_submitted(self) -> bool:
        """Whether :attr:`remote_job` is there."""
        return os.path.exists(f"{self.output}.job")

    def arrived(self, fingerprint: str) -> Path:
        """Artifacts of *fingerprint* that came back from another machine.

        The path has the fingerprint, since another definition's job may come back at any time.
        """
        return Path(f"{self._place}/.snakeval/arrived-{fingerprint[:16]}")

    def arrived_requests(self, fingerprint: str) -> Path:
        """Journals and counts that came back with :meth:`arrived`."""
        return Path(f"{self._place}/.snakeval/arrived-requests-{fingerprint[:16]}")

    def record(self, fingerprint: str) -> Path:
        """The undeclared completion record of *fingerprint*."""
        return Path(self._record(fingerprint))

    def _record(self, fingerprint: str) -> str:
        return f"{self._place}/.snakeval/completion-{fingerprint[:16]}.json"

    def cache(self, what: str, fingerprint: str, *depends: object) -> Path:
        """A file that keeps what is expensive to compute of *fingerprint*'s artifacts.

        Its name holds all that the content *depends* on.
        """
        parts = "-".join(map(str, (what, fingerprint[:16], *depends)))
        return Path(f"{self._place}/.snakeval/{parts}.json")

    @property
    def container_name(self) -> str:
        """The one name that any attempt at this evaluation uses on this machine."""
        return f"snakeval-{hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]}"

    def make_way(self) -> None:
        """Move aside what is in the place of a directory of a job but is none, and report it."""
        for path in (self.private, self.logs, self.attempts, self.artifacts):
            make_way(path)

    # --- definition -----------------------------------------------------------------------

    def read_evaluation(self, fingerprint: str = "") -> Evaluation:
        """Return the newest definition here, or the one with *fingerprint*.

        A command that starts later may define the evaluation in another way. The jobs of the
        earlier command still find theirs.

        Raises:
            EvaluationError: there is none, or it cannot be read.
        """
        from snakeval.evaluation.definition import Evaluation  # slow to import

        try:
            found = Evaluation.from_json(read_text(self.spec))
            own = found.fingerprint  # a definition with a NaN has none: it is damaged
            if fingerprint and own != fingerprint:
                earlier = self._earlier_spec(fingerprint)
                if earlier.exists():
                    return Evaluation.from_json(read_text(earlier))
            return found
        except (OSError, *DAMAGE) as error:
            raise EvaluationError(f"{self.spec} cannot be read ({error})") from None

    def read_identity(self) -> dict[str, Any]:
        """Return the identity of the newest definition, or of the record; nothing if unknown."""
        for path in (str(self.spec), self.output):
            try:
                found = (read_json(path) or {}).get("identity")
            except (OSError, ValueError):
                continue
            if isinstance(found, dict):
                return found
        return {}

    def _earlier_spec(self, fingerprint: str) -> Path:
        return Path(f"{self._place}/.snakeval/definition-{fingerprint[:16]}.json")

    def read_transport(self) -> Mapping[str, Any]:
        """Return the evaluation's transport as plain data, without building an evaluation.

        Raises:
            OSError, ValueError: the definition exists and cannot be read.
        """
        spec = read_json(f"{self._place}/.snakeval/{_RECORD}") or {}
        transport = spec.get("transport") or {}
        if not isinstance(transport, dict):
            raise ValueError("its transport is no mapping")
        return transport

    def defines(self, evaluation: Evaluation) -> bool:
        """Whether the definition here is *evaluation*, to the letter."""
        try:
            return read_bytes(self.spec) == evaluation.to_json().encode()
        except NotAFileError:
            return False

    def define(self, evaluation: Evaluation) -> None:
        """Save the definition for the job; a different earlier one stays for jobs in a queue."""
        try:
            text = read_text(self.spec)
            fingerprint = str(json_object(text.encode())["fingerprint"])
        except (OSError, *DAMAGE):
            fingerprint = ""  # the first definition, or a damaged one
            if self.spec.is_dir():
                set_aside(self.spec, "a directory")
        if fingerprint and fingerprint != evaluation.fingerprint:
            write_if_changed(self._earlier_spec(fingerprint), text)
        write_if_changed(self.spec, evaluation.to_json())

    # --- completion -----------------------------------------------------------------------

    def why_incomplete(self, fingerprint: str, older: Sequence[str] = ()) -> Incomplete | None:
        """Return why the evaluation of *fingerprint* is not finished, or None if it is.

        *older* are fingerprints of the same definition in earlier formats. All commands, the head
        and the jobs ask this function, so they agree. It reads no artifact and takes microseconds
        for each; ``snakeval verify`` reads them. See docs/decisions/8-many-artifacts.md.
        """
        found = self.find_record(fingerprint, older)
        return found if isinstance(found, Incomplete) else None

    def completion(self, fingerprint: str, older: Sequence[str] = ()) -> Completion | None:
        """Return the completion of *fingerprint*, if :meth:`why_incomplete` has no reason."""
        found = self.find_completion(fingerprint, older)
        return found if isinstance(found, Completion) else None

    def find_completion(
        self, fingerprint: str, older: Sequence[str] = ()
    ) -> Completion | Incomplete:
        """Return the completion of *fingerprint*, or why there is none."""
        found = self.find_record(fingerprint, older)
        return found if isinstance(found, Incomplete) else Completion.from_dict(found)

    def find_record(
        self, fingerprint: str, older: Sequence[str] = ()
    ) -> Mapping[str, Any] | Incomplete:
        """Return the plain data of the completion of *fingerprint*, or why there is none."""
        reasons = []
        for found in self.copies(fingerprint, older):
            if not isinstance(found, Incomplete):
                return found
            reasons.append(found)
        return max(reasons, key=lambda reason: reason.kind.weight)

    def copies(
        self, fingerprint: str, older: Sequence[str] = ()
    ) -> Iterator[Mapping[str, Any] | Incomplete]:
        """Yield the plain data of each copy of the record, or why the copy does not count."""
        for wanted in (fingerprint, *older):
            for path in (self._record(wanted), self.output):
                found = self._read_record(path, wanted)
                if not isinstance(found, Incomplete):
                    try:
                        lost = self._lost_artifact(found)
                    except OSError as error:
                        found = _unreadable(error, path)
                    else:
                        found = Incomplete(Kind.ARTIFACTS, lost, found) if lost else found
                yield found

    def _read_record(self, path: str, fingerprint: str) -> Mapping[str, Any] | Incomplete:
        """Return the record in *path* if it is of *fingerprint*."""
        try:
            content = read_bytes(path)
            if content is None:
                return Incomplete(Kind.ABSENT, "it has no record")
            record = checked(json_object(content))
        except NotAFileError as error:
            return Incomplete(Kind.DAMAGED, f"{os.path.basename(path)} is {error.strerror}")
        except ValueError as error:
            why = f"{os.path.basename(path)} is damaged ({str(error)[:100]})"
            return Incomplete(Kind.DAMAGED, why)
        except OSError as error:
            return _unreadable(error, path)
        if record["fingerprint"] != fingerprint:
            return Incomplete(Kind.OTHER_DEFINITION, "its definition was changed")
        return record

    def _lost_artifact(self, record: Mapping[str, Any]) -> str:
        """Say which artifact of *record* is not there with its size, or nothing.

        Of very many artifacts, the digest of their names and sizes suffices, if it is as it was.

        Raises:
            OSError: an artifact cannot be looked at.
        """
        artifacts = f"{self._place}/artifacts/"
        entries = None if self._has_its_sizes(record) else self._whole(record)
        for entry in entries or record["manifest"]:
            name = entry["path"]
            try:
                found = os.stat(artifacts + name)
            except OSError as error:
                if error.errno not in trees.GONE:
                    raise
                return f"artifacts/{name} is gone"
            if found.st_size != entry["size"] or not stat.S_ISREG(found.st_mode):
                return f"artifacts/{name} has {found.st_size} bytes, and had {entry['size']}"
        # The attempt of published artifacts has none of its own: a killed job may have published
        # another attempt's, and their sizes may be equal.
        own = f"{self._place}/attempts/{record['attempt']}"
        if os.path.isdir(f"{own}/artifacts"):
            attempt = read_state(f"{own}/attempt.json", Attempt.from_dict)
            if attempt is not None and attempt.token is not None:
                return "artifacts/ are of another attempt"
        return ""

    def is_published(self, fingerprint: str, *, to_the_letter: bool = False) -> bool:
        """Whether the published record is as long as the private one, if there is one.

        *to_the_letter* also reads both, and finds a damaged one.
        """
        try:
            if to_the_letter:
                private = read_bytes(self._record(fingerprint))
                return private is None or private == read_bytes(self.output)
            size = os.stat(self._record(fingerprint)).st_size
            return os.stat(self.output).st_size == size
        except NotAFileError:
            return False
        except OSError:
            return True

    def published_text(self) -> str | None:
        """Return the text of the published record; None if there is none.

        A text that cannot be read is empty.
        """
        try:
            content = read_bytes(self.output)
        except OSError:
            return ""
        return None if content is None else content.decode("utf-8", "replace")

    def complete(self, record: Completion, check: Callable[[], None] = lambda: None) -> None:
        """Publish the record of ``artifacts/``: first where Snakemake never deletes it.

        *check* raises an error if the lease is lost.
        """
        check()
        write_atomically(self.record(record.fingerprint), record.to_json())
        check()
        self.forget_failure()
        self.publish(record)

    def publish(self, record: Completion) -> None:
        """Make the record the declared output, and its attempt's log the declared log.

        A private copy that is damaged is written again.
        """
        if self.attempt_log(record.attempt).exists():
            self.show_log(record.attempt)
        self.note_sizes(record)
        write_atomically(self.published, record.to_json())
        if not self.is_published(record.fingerprint, to_the_letter=True):
            write_atomically(self.record(record.fingerprint), record.to_json())

    def retract(self) -> None:
        """Remove all records, because ``artifacts/`` change. Attempts keep theirs."""
        self.published.unlink(missing_ok=True)
        for path in self._private_records():
            path.unlink(missing_ok=True)

    def records(self) -> list[Completion]:
        """Return the records of ``artifacts/``, whole or not: the published one first."""
        paths = [self.published, *self._private_records()]
        found = [read_state(path, Completion.from_dict) for path in paths]
        return [record for record in found if record is not None]

    def _private_records(self) -> list[Path]:
        return sorted(self.private.glob("completion-*.json"))

    def manifest(self, ignore: Sequence[str] = ()) -> tuple[dict[str, Any], ...]:
        """Return path, size in bytes and SHA-256 of every published artifact.

        *ignore* are shell patterns of relative paths: a harness's caches are no results.

        Raises:
            OSError: an artifact cannot be read.
        """
        return trees.manifest(self.artifacts, ignore)

    @staticmethod
    def manifest_of(attempt: Path) -> Path:
        """The whole manifest of an attempt with very many artifacts."""
        return attempt / "manifest.json"

    @staticmethod
    def _sizes_of(attempt: Path) -> Path:
        """The digest of the names and sizes of the published artifacts of an attempt."""
        return attempt / "sizes.json"

    def note_sizes(self, record: Completion) -> None:
        """Note the names and sizes of very many published artifacts, for a quick look.

        It is no matter if they cannot be noted: looks then take longer.
        """
        if not record.manifest_apart or self._has_its_sizes(record.as_dict()):
            return
        manifest = self.whole_manifest(record) or ()
        with contextlib.suppress(OSError):
            # Before the look at the files, so that the note hides no loss meanwhile.
            digest = trees.digest_of_sizes(self.artifacts)
            sizes = {entry["path"]: entry["size"] for entry in manifest}
            if sizes and trees.is_as_large(self.artifacts, sizes):
                note = {"manifest": record.manifest_apart, "sizes": digest}
                attempt = self.attempts / str(record.attempt)
                write_atomically(self._sizes_of(attempt), sealed(note))

    def _has_its_sizes(self, record: Mapping[str, Any]) -> bool:
        """Whether very many artifacts have the names and sizes that they were published with.

        If a file was added, or there is no note, each file of the manifest is looked at.
        """
        if not record.get("manifest_apart"):
            return False
        note = self._sizes_of(self.attempts / str(record["attempt"]))
        try:
            found = json_object(read_bytes(note) or b"")
            if found["manifest"] != record["manifest_apart"] or not has_seal(found):
                return False
            return bool(trees.digest_of_sizes(self.artifacts) == found["sizes"])
        except (OSError, *DAMAGE):
            return False

    def mend_manifest(self, record: Mapping[str, Any], ignore: Sequence[str]) -> bool:
        """Write the whole manifest again if it is damaged; return whether it is sound now.

        Only the artifacts of the record have the manifest whose SHA-256 is in the record. *ignore*
        are shell patterns, as in :meth:`manifest`.

        Raises:
            OSError: an artifact cannot be read, or the file cannot be written.
        """
        if self._whole(record) is not None:
            return True
        text = trees.manifest_text(self.manifest(ignore))
        if hashlib.sha256(text.encode()).hexdigest() != record["manifest_apart"]:
            return False
        write_atomically(self.manifest_of(self.attempts / str(record["attempt"])), text)
        return True

    def whole_manifest(self, record: Completion) -> Sequence[Mapping[str, Any]] | None:
        """Return the whole manifest of a record; None if its own file is damaged or gone."""
        facts = ("manifest", "manifest_apart", "attempt")
        return self._whole({name: getattr(record, name) for name in facts})

    def _whole(self, record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
        if not (apart := record.get("manifest_apart")):
            own: Sequence[Mapping[str, Any]] = record["manifest"]
            return own
        try:
            content = read_bytes(self.manifest_of(self.attempts / str(record["attempt"])))
        except OSError:
            return None
        if content is None or hashlib.sha256(content).hexdigest() != apart:
            return None
        found: list[dict[str, Any]] = json_value(content)
        return found

    # --- attempts -------------------------------------------------------------------------

    def read_attempt(self) -> Attempt:
        """Return the newest attempt.

        Raises:
            OSError: its note exists and cannot be read.
        """
        found = read_state(f"{self._place}/.snakeval/attempt.json", Attempt.from_dict)
        return found or self._newest_of_folders()

    def _newest_of_folders(self) -> Attempt:
        """Return the newest attempt in ``attempts/``. A copy may have lost the hidden note."""
        try:
            numbers = sorted(
                (int(n) for n in os.listdir(self.attempts) if n.isdigit()), reverse=True
            )
        except OSError:
            return Attempt()
        for number in numbers:
            note = f"{self._place}/attempts/{number}/attempt.json"
            if (found := read_state(note, Attempt.from_dict)) and found.token is not None:
                return found
        return Attempt()

    def note_attempt(self, attempt: Attempt) -> None:
        """Note which attempt is the newest."""
        write_atomically(self.private / "attempt.json", sealed(asdict(attempt)))

    @property
    def newest_artifacts(self) -> Path:
        """The artifacts of the newest attempt, published or not."""
        own = self.attempts / str(self.read_attempt().number) / "artifacts"
        return own if own.is_dir() else self.artifacts

    @property
    def attempted(self) -> str:
        """The fingerprint that the artifacts belong to, or nothing."""
        return self.read_attempt().fingerprint

    def unended_attempt(self, fingerprint: str) -> int:
        """Return the number of an attempt at *fingerprint* without an end, or 0.

        It runs, or it was interrupted.
        """
        attempt = self.read_attempt()
        return 0 if attempt.fingerprint != fingerprint or self.has_failure() else attempt.number

    def format_that_counts(self, evaluation: Evaluation) -> Evaluation:
        """Return *evaluation* in the earlier format of its result or attempt, if there is one.

        The result may be here or in the archive. Earlier fingerprints are computed only if this
        directory has anything that could have them.
        """
        if os.path.exists(self._record(evaluation.fingerprint)):
            return evaluation
        try:
            names = os.listdir(f"{self._place}/.snakeval")
        except OSError as error:
            if error.errno not in trees.GONE:
                raise
            names = []
        records = {name for name in names if name.startswith("completion-")}
        records |= {path.name for path in self.attempts.glob("*/completion-*.json")}
        if self.record(evaluation.fingerprint).name in records:
            return evaluation
        known = {self._published_fingerprint(), self.read_attempt().fingerprint} - {""}
        if not (records or known) or evaluation.fingerprint in known:
            return evaluation
        (older,) = evaluation.older
        if self.record(older).name in records or older in known:
            return evaluation.in_format_1
        return evaluation

    def _published_fingerprint(self) -> str:
        """Return the fingerprint of the published record, or nothing."""
        try:
            return str((read_json(self.output) or {}).get("fingerprint", ""))
        except (OSError, ValueError):
            return ""

    # --- logs -----------------------------------------------------------------------------

    def attempt_log(self, attempt: int) -> Path:
        """The log of an attempt's harness. Not declared, so Snakemake never deletes it."""
        return Path(f"{self._place}/logs/attempt-{attempt}.log")

    def attempt_logs(self) -> list[Path]:
        """Return the logs of all attempts at the current definition."""
        return sorted(self.logs.glob("attempt-*.log"))

    def archived_logs(self) -> list[Path]:
        """Return the logs of attempts at earlier definitions."""
        return sorted(self.attempts.glob("*/logs/attempt-*.log"))

    def newest_log(self) -> Path:
        """Return the newest attempt's log, there or not."""
        return self.attempt_log(self.last_log())

    def last_log(self) -> int:
        """Return the number of the newest attempt with a log, or 0."""
        numbers = (path.stem.rpartition("-")[2] for path in self.attempt_logs())
        return max((int(n) for n in numbers if n.isdecimal()), default=0)

    def show_log(self, attempt: int) -> None:
        """Make ``logs/harness.log``, the declared log, lead to the attempt's."""
        lead(self.log, self.attempt_log(attempt).name)

    # --- lease ----------------------------------------------------------------------------

    def holder(self) -> Holder | None:
        """Return who holds the attempt lease, if there is one.

        Raises:
            OSError, ValueError: the lease exists and cannot be read.
        """
        try:
            # An open makes NFS ask its server what the name means now.
            file = without_waiting(f"{self._place}/.snakeval/lease", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return Holder.read(os.read(file, _LEASE_BYTES), os.fstat(file).st_mtime)
        finally:
            os.close(file)

    def lease_times(self) -> tuple[float, float]:
        """Return how often the holder renews the lease and when it is stale, in seconds.

        Raises:
            OSError, ValueError: the definition exists and cannot be read.
        """
        transport = self.read_transport()
        return (
            float(transport.get("heartbeat") or HEARTBEAT_SECONDS),
            float(transport.get("stale") or STALE_SECONDS),
        )


def _unreadable(error: OSError, path: str) -> Incomplete:
    place = error.filename or path
    return Incomplete(Kind.UNREADABLE, f"{place} cannot be read ({error.strerror})")
