"""Copies what jobs and endpoints of Lepton print into the logs of the run, while they live.

The platform keeps a log no longer than its job or endpoint. The run's copy stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton import need_library
from snakeval.executors.lepton.notes import Noted, Notes
from snakeval.files import DAMAGE, json_value
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory

if TYPE_CHECKING:
    from snakeval.executors.lepton.api import Platform

#: Seconds between two requests for a log, and between two for the list of jobs.
LOOK_SECONDS, LIST_SECONDS = 3.0, 15.0
#: For how long before now the platform is asked for a log.
_DAYS = 14
#: How many lines the platform gives for one request.
_PAGE = 5000
#: The mark of lines that carry files, which the executor leaves out of logs.
_FILES = "@@smk"

Line = tuple[int, str]
#: Returns at most so many lines since a time, in ns since the epoch, the earliest first.
Read = Callable[[int, int], list[Line]]


@dataclass(slots=True)
class Copied:
    """The content of a copy: the log of a job or an endpoint, until the time of its last line.

    ``last`` are the lines of that time.
    """

    of: str = ""
    file: str = ""
    time: int = 0
    last: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Copied:
        """Read a note; a damaged one is empty, and the copy starts again in another file."""
        try:
            data = json_value(text)
            return cls(str(data["of"]), str(data["file"]), int(data["time"]), list(data["last"]))
        except DAMAGE:
            return cls()


def copy(note: Path, of: str, new_log: Callable[[], Path], read: Read) -> None:
    """Append the new lines of *of* to its copy, which *note* describes.

    Raises:
        EvaluationError: the platform cannot be asked.
    """
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("a+", encoding="utf-8") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        copied = Copied.parse(file.read())
        if copied.of != of:
            copied = Copied(of)
        since = copied.time or time.time_ns() - _DAYS * 86400 * 10**9
        while lines := read(since, _PAGE):
            fresh = [(at, text) for at, text in lines if not _is_known(copied, at, text)]
            if not fresh:
                return
            if not copied.file:
                copied.file = str(new_log())
            _append(Path(copied.file), fresh)
            since = fresh[-1][0]
            known = copied.last if since == copied.time else []
            copied.time = since
            copied.last = [*known, *(text for at, text in fresh if at == since)]
            _rewrite(file, json.dumps(asdict(copied)))
            if len(lines) < _PAGE:
                return


def _is_known(copied: Copied, at: int, text: str) -> bool:
    return at < copied.time or (at == copied.time and text in copied.last)


def _append(path: Path, lines: list[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.writelines(f"{text}\n" for _, text in lines if _FILES not in text)


def _rewrite(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def copy_job(platform: Platform, directory: EvaluationDirectory, job: str) -> None:
    """Copy what a job has printed into the log of the evaluation's next attempt.

    Raises:
        EvaluationError: the platform cannot be asked.
    """

    def new_log() -> Path:
        return directory.attempt_log(directory.last_log() + 1)

    def read(since: int, limit: int) -> list[Line]:
        return platform.log(since, limit, name_or_job=job)

    copy(directory.live_log, job, new_log, read)


def copy_endpoint(platform: Platform, run: RunDirectory, endpoint: Noted) -> None:
    """Copy what a model's endpoint has printed into the log of the model's server.

    Raises:
        EvaluationError: the platform cannot be asked.
    """
    if not endpoint.model:
        return  # its note is damaged
    directory = DeploymentDirectory.of(run, endpoint.model)

    def read(since: int, limit: int) -> list[Line]:
        return platform.log(since, limit, name_or_deployment=endpoint.name)

    copy(directory.live_log, endpoint.name, directory.new_server_log, read)


def last_lines(platform: Platform, endpoint: str, number: int = 3) -> list[str]:
    """Return the end of an endpoint's log."""
    since = time.time_ns() - 86400 * 10**9
    try:
        lines = platform.log(since, 50, "backward", name_or_deployment=endpoint)
    except EvaluationError:
        return []  # it only explains
    return [text.strip() for _, text in lines if text.strip()][-number:]


def take_back(directory: EvaluationDirectory, job: str) -> None:
    """Remove the copy of a collected job's log: the attempt that begins now has the whole log."""
    try:
        copied = Copied.parse(directory.live_log.read_text(encoding="utf-8"))
    except OSError:
        return  # nothing was copied
    if copied.of == job and copied.file:
        Path(copied.file).unlink(missing_ok=True)
        directory.live_log.unlink(missing_ok=True)


class Follower:
    """Copies the log of an evaluation's job, or of a model's endpoint, each time it is called.

    It sends a request every few seconds at most, and none for a run without jobs on Lepton. It
    reports a platform that does not answer once.
    """

    def __init__(
        self,
        run: RunDirectory,
        name: str,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._name = name
        self._report = report
        self._clock = clock
        self._looked = self._listed = -LIST_SECONDS
        self._job = ""
        self._silent = False

    def __call__(self) -> None:
        """Copy what is new."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        try:
            self._copy()
            self._silent = False
        except EvaluationError as error:
            if not self._silent:
                self._report(f"Lepton cannot be asked: {error}")
            self._silent = True

    def _copy(self) -> None:
        if self._run.remote_jobs(self._name):
            self._find_job()
            if self._job:
                copy_job(self._platform, self._run.evaluation(self._name), self._job)
            return
        model, _, folder = self._name.partition("/")
        if folder != DeploymentDirectory.folder(1):
            return
        for endpoint in Notes(self._run).all():
            if endpoint.model == model and not endpoint.superseded:
                copy_endpoint(self._platform, self._run, endpoint)

    def _find_job(self) -> None:
        if self._clock() - self._listed < LIST_SECONDS:
            return
        jobs = [job for job in self._platform.jobs_of(self._run.name) if job.lives]
        mine = [job for job in jobs if job.evaluation == self._name]
        mine.sort(key=lambda job: job.state == "Running")
        self._job = mine[-1].id if mine else ""
        self._listed = self._clock()

    @cached_property
    def _platform(self) -> Any:
        need_library()
        from snakeval.executors.lepton.api import Platform

        return Platform(backoff=(0.5,), timeout=10)
