"""The executor ``spool``: snakeval's side of the Snakemake plugin of that name."""

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from snakeval.executors.base import (
    Check,
    Executor,
    Intent,
    Job,
    Jobs,
    JobState,
    Remain,
    Report,
    Stage,
    Stopping,
)
from snakeval.run.directory import RunDirectory


class SpoolOptions(BaseModel):
    """The section ``execution.spool`` of a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    niceness: int = Field(default=0, ge=0, le=19)


class Spool(Executor):
    """Jobs that are processes with files in a spool directory."""

    name = "spool"
    title = "Spool"
    plugins = ("spool",)

    def options(self) -> type[BaseModel]:
        """Return the schema of ``execution.spool``."""
        return SpoolOptions

    def resources(self) -> Mapping[str, str]:
        """Return the resource by which a rule passes the option to the plugin."""
        return {"niceness": "spool_niceness"}

    def checks(self, intent: Intent) -> Iterator[Check]:
        """Check what `snakeval doctor` shows."""
        yield Check("spool", "ok", "jobs are processes of this machine")

    def open(self, run: RunDirectory) -> None:
        """Link the spool of this directory: `status` works from any directory."""
        link = _link(run)
        link.unlink(missing_ok=True)
        link.symlink_to(Path(".snakemake/spool").absolute())

    def jobs(self, run: RunDirectory) -> Jobs:
        """Return the run's jobs as the spool shows them."""
        return SpoolJobs(run)

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Return the jobs to stop; a job of several evaluations is not stopped for one of them."""

        def look() -> Iterator[Remain]:
            for note in _notes(run):
                job = _job(run, note)
                mine = evaluation is None or job.names == (evaluation,)
                if mine and job.state.lives:
                    send = partial(_signal, note["pid"])
                    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
                    ask, end, kill = (partial(send, number) for number in numbers)
                    what = ", ".join(job.names)
                    yield Remain(f"spool {job.id}", f"{job.text} ({what})", (ask, end, kill))

        return Stopping({Stage.WORKERS: look})

    def close(self, run: RunDirectory, report: Report) -> None:
        """Remove the exit codes of finished jobs. Logs stay, for `snakeval logs`."""
        for note in _notes(run):
            if _job(run, note).state is JobState.ENDED:
                (_link(run) / f"{note['id']}.json").unlink(missing_ok=True)
                (_link(run) / f"{note['id']}.exit").unlink(missing_ok=True)


class SpoolJobs(Jobs):
    """The jobs of a run; the base class finds one by its name."""

    def __init__(self, run: RunDirectory) -> None:
        self._found = [_job(run, note) for note in _notes(run)]

    def all(self) -> Sequence[Job]:
        """Return them, the newest last."""
        return self._found


def _link(run: RunDirectory) -> Path:
    return run.of_executor("spool")


def _notes(run: RunDirectory) -> list[dict]:
    """Return the plugin's notes of the jobs that write files of *run*, the newest last."""
    found = []
    for path in _link(run).glob("*.json"):
        with suppress(OSError, ValueError):  # written or removed just now
            note = json.loads(path.read_text(encoding="utf-8"))
            if any(Path(output).is_relative_to(run.path.resolve()) for output in note["outputs"]):
                found.append((path.stat().st_mtime, note))
    return [note for _, note in sorted(found, key=lambda pair: pair[0])]


def _job(run: RunDirectory, note: dict) -> Job:
    outputs = [Path(output).relative_to(run.path.resolve()).parent for output in note["outputs"]]
    exit_file, name = _link(run) / f"{note['id']}.exit", f"Spool job {note['id']}"
    if exit_file.exists():
        done = exit_file.read_text().strip() == "0"
        state = JobState.ENDED if done else JobState.LOST
        text = f"{name} has ended" if done else f"{name} failed"
    elif _group_lives(note["pid"]):
        # Its evaluations hold leases while they run, so `status` shows more than this.
        state, text = JobState.WAITING, f"{name} runs"
    else:
        state, text = JobState.LOST, f"{name} was killed"
    log = (_link(run) / f"{note['id']}.log").resolve()
    names = tuple(place.as_posix() for place in outputs)
    return Job(note["id"], names, state, text, log=str(log))


def _group_lives(group: int) -> bool:
    """Return whether a process of a job lives. A job can outlive the shell that started it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # a process that ended just now
            state, _, own = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(own) == group and state not in "ZX":
                return True
    return False


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
