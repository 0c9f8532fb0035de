"""Keeps a note of each task and its Slurm jobs: ``.snakemake/slurm_resume/<name>.json``.

Snakemake alone writes the note, before it calls ``sbatch`` and at each change. It replaces the
whole file, so a reader never sees half a note. A Snakemake that is killed between a submission and
its note loses no job: the next one finds the job in the queue by its name. ::

    {"name": "snakeval_evaluate_m_b_1f0c93a1", "rule": "evaluate", "group": "",
     "outputs": ["/home/me/results/m/b/evaluation.json"], "digests": ["5f3a0b1c"], "direct": true,
     "waits": "",
     "jobs": [{"id": "12", "submitted": "2026-11-25T14:00:00+00:00", "state": "RUNNING",
               "node": "n1", "ended": "", "elapsed": 31, "limit": 3600, "log": "/home/me/12.log"}]}

``jobs`` are the task's Slurm jobs, the newest last; the list is empty between the intent and the
submission. ``state`` is Slurm's last known state, or one of the plugin's own. CLOSED is a job that
ended itself on the signal before its time limit. VANISHED is a job that Slurm has forgotten and
whose outputs are missing. ``submitted`` and ``ended`` are in ISO 8601 (UTC), ``elapsed`` and
``limit`` in seconds; a limit of null is no limit. ``waits`` is why Slurm accepts no job of the task
now, while a Snakemake waits for a limit to pass. ``<name>.sh`` in the same directory is the script
of a job without a Snakemake in it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm_resume.identity import Task
from snakemake_executor_plugin_slurm_resume.states import Meaning, meaning

#: Limits the size of a note.
_KEPT_JOBS = 200


def now() -> str:
    """Return the time in ISO 8601, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def in_utc(text: str) -> str:
    """Convert a local time of squeue or sacct to the format of :func:`now`.

    Return the present time for a text that is not a time.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        return now()


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A Slurm job's last known state; ``elapsed`` also counts its requeues, if known."""

    id: str
    submitted: str
    state: str = "PENDING"
    node: str = ""
    ended: str = ""
    elapsed: int = 0
    limit: int | None = None
    log: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A task and its Slurm jobs, the newest last."""

    task: Task
    direct: bool = False
    jobs: tuple[SlurmJob, ...] = ()
    waits: str = ""

    def job(self, number: str) -> SlurmJob:
        """Return the entry of the Slurm job with that id."""
        return next((job for job in self.jobs if job.id == number), SlurmJob(number, now()))

    def with_job(self, job: SlurmJob) -> Note:
        """Return the note with *job* added, or in place of its earlier entry."""
        if any(known.id == job.id for known in self.jobs):
            jobs = tuple(job if known.id == job.id else known for known in self.jobs)
        else:
            jobs = (*self.jobs, job)[-_KEPT_JOBS:]
        return replace(self, jobs=jobs, waits="")

    @property
    def series(self) -> tuple[SlurmJob, ...]:
        """Return the newest consecutive jobs that ended through no fault of the task.

        A success or a failure before them belongs to an earlier attempt.
        """
        kept: list[SlurmJob] = []
        for job in reversed(self.jobs):
            if meaning(job.state) not in (Meaning.LOST, Meaning.LIVE):
                break
            kept.insert(0, job)
        return tuple(kept)


class Notes:
    """The directory of the notes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, name: str) -> Note | None:
        """Return the note of that name; None if there is no readable one."""
        try:
            data = json.loads((self.directory / f"{name}.json").read_text(encoding="utf-8"))
            outputs = dict(zip(data["outputs"], data["digests"], strict=True))
            task = Task(data["name"], data["rule"], data["group"], outputs)
            jobs = tuple(SlurmJob(**job) for job in data["jobs"])
            return Note(task, bool(data["direct"]), jobs, str(data.get("waits") or ""))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, note: Note) -> None:
        """Replace the whole note.

        Raises:
            OSError: the note is unchanged.
        """
        data: dict[str, Any] = {
            "name": note.task.name,
            "rule": note.task.rule,
            "group": note.task.group,
            "outputs": list(note.task.outputs),
            "digests": list(note.task.outputs.values()),
            "direct": note.direct,
            "waits": note.waits,
            "jobs": [asdict(job) for job in note.jobs],
        }
        self._replace(f"{note.task.name}.json", json.dumps(data, indent=1))

    def write_script(self, name: str, text: str) -> Path:
        """Replace the script of the task of that name; a running script keeps the old file."""
        return self._replace(f"{name}.sh", text)

    def __iter__(self) -> Iterator[Note]:
        for path in self.directory.glob("*.json"):
            if note := self.read(path.stem):
                yield note

    def _replace(self, name: str, text: str) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / name
        # Another Snakemake may write the same note now.
        draft = path.with_name(f".{name}.{uuid.uuid4().hex[:8]}.new")
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return path
