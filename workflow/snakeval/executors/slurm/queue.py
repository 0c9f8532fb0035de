"""Slurm's jobs of a run: what the executor ``slurm-resume`` notes of each, and a look at the queue.

The notes are in ``.snakemake/slurm_resume`` of the directory that the run was started in
(:mod:`snakemake_executor_plugin_slurm_resume.notes` has their format), and the run has a link to
them. A note has the state that Snakemake saw last, which may be old. One call of squeue returns
the present state of all jobs that may still live. If Slurm has accounting, one call of sacct
returns the state of those that squeue has forgotten.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm_resume import waits
from snakeval.executors.slurm.commands import ENDED, refuses
from snakeval.executors.slurm.controller import ACCOUNTING, CONTROLLER
from snakeval.files import lead, led_to, read_json
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import heads

#: Fields of squeue(1) and of sacct(1): job, state, reason, expected or true start, nodes.
_SQUEUE = "%i|%T|%r|%S|%N"
_SACCT = "JobIDRaw,State,Reason,Start,NodeList"
#: State -> the words for users.
_WORDS = {
    "TIMEOUT": "reached its time limit",
    "CLOSED": "closed before its time limit",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "got a node that does not boot",
    "OUT_OF_MEMORY": "ran out of memory",
    "CANCELLED": "was cancelled",
    "DEADLINE": "reached its deadline",
    "VANISHED": "is not known to Slurm any more",
    "FAILED": "failed",
    "COMPLETED": "has ended",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A job in Slurm.

    Attributes:
        names: ``model/benchmark`` of its evaluations, and ``model/deployment`` of its server.
        reason: of Slurm, why it waits.
        start: when it started, or is expected to.
        submitted: when, in ISO 8601 (UTC).
        elapsed: seconds, as it was seen last.
        log: the file that has what it printed.
        certain: whether Slurm has been asked just now, and knew.
    """

    id: str
    names: tuple[str, ...]
    state: str
    reason: str = ""
    start: str = ""
    node: str = ""
    submitted: str = ""
    elapsed: int = 0
    log: str = ""
    certain: bool = False

    @property
    def word(self) -> str:
        """Its state without who caused it: ``CANCELLED by 0`` is CANCELLED."""
        return self.state.split()[0].rstrip("+") if self.state else ""

    @property
    def lives(self) -> bool:
        """Whether it waits or runs, as far as is known."""
        return self.word not in ENDED

    def __str__(self) -> str:
        """Say what is to be known of it."""
        name, word = f"Slurm job {self.id}", self.word
        if waits.to_do(self.state, self.reason):
            return f"{name} cannot start ({self.reason or word})"
        if word == "PENDING":
            why = f" ({self.reason})" if self.reason not in ("", "None") else ""
            when = f", expected to start {self.start}" if self.start.startswith("2") else ""
            return f"{name} waits{why}{when}"
        on = f" on {self.node}" if self.node and not self.node.startswith("None") else ""
        who = self.state.removeprefix(word).strip()
        what = _WORDS.get(word) or ("runs" if word == "RUNNING" else word.lower())
        return " ".join(part for part in (f"{name} {what}{on}", who) if part)


class Queue:
    """The Slurm jobs of *run*, the newest of each evaluation.

    ``silent`` says why Slurm could not be asked, where it could not.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run.absolute()
        self.silent = ""

    def of(self, name: str) -> Job | None:
        """The newest job that was submitted for ``model/benchmark`` or ``model/deployment``."""
        return self._by_name.get(name)

    def live(self) -> list[Job]:
        """Jobs that wait or run, or may."""
        return [job for job in self.jobs if job.lives]

    @property
    def notices(self) -> list[str]:
        """Return a line for all jobs alike that cannot start, with what to do."""
        return waits.lines({job.id: (job.state, job.reason) for job in self.live() if job.certain})

    @cached_property
    def _by_name(self) -> dict[str, Job]:
        return {name: job for job in self.jobs for name in job.names}

    @cached_property
    def noted(self) -> list[Job]:
        """Every job that was ever submitted for the run, as it was seen last; newest last."""
        found = [job for note in self._notes() for job in self._jobs(note)]
        return sorted(found, key=lambda job: _number(job.id))

    @cached_property
    def limited(self) -> dict[str, str]:
        """Name -> why Slurm accepts no job of it now, while a Snakemake waits for that to pass."""
        waits = [(note, str(note["waits"])) for note in self._notes() if note.get("waits")]
        if not waits or all(head.lives is False for head in heads(self._run)):
            return {}
        return {name: why for note, why in waits for name in self._names(note)}

    @cached_property
    def jobs(self) -> list[Job]:
        """The same jobs with their present state in Slurm."""
        open_ones = {job.id: job for job in self.noted if job.lives}
        if not open_ones:
            return self.noted
        told = self._ask(open_ones)
        return [told.get(job.id, job) for job in self.noted]

    def _notes(self) -> Iterator[dict[str, Any]]:
        for path in (file for d in self._run.all_slurm_notes() for file in d.glob("*.json")):
            try:
                data = read_json(str(path))
            except (OSError, ValueError):
                continue  # replaced just now, or of another version
            if isinstance(data, dict):
                yield data

    def _names(self, note: dict[str, Any]) -> list[str]:
        run, outputs = self._run.path, map(Path, note.get("outputs") or ())
        return [
            path.relative_to(run).parent.as_posix() for path in outputs if path.is_relative_to(run)
        ]

    def _jobs(self, note: dict[str, Any]) -> Iterator[Job]:
        names = self._names(note)
        for job in note.get("jobs") or () if names else ():
            yield Job(
                id=str(job["id"]),
                names=tuple(names),
                state=str(job.get("state") or ""),
                node=str(job.get("node") or ""),
                submitted=str(job.get("submitted") or ""),
                elapsed=int(job.get("elapsed") or 0),
                log=str(job.get("log") or ""),
            )

    def _ask(self, jobs: dict[str, Job]) -> dict[str, Job]:
        told = self._rows("squeue", "-h", "-a", "-t", "all", "-o", _SQUEUE, jobs=jobs)
        if forgotten := {id: job for id, job in jobs.items() if id not in told}:
            told |= self._rows(
                "sacct", "-X", "-n", "-P", "-S", "now-30days", "-o", _SACCT, jobs=forgotten
            )
        return told

    def _rows(self, program: str, *options: str, jobs: dict[str, Job]) -> dict[str, Job]:
        if shutil.which(program) is None:
            if program == "squeue":
                self.silent = "there is no squeue on this machine"
            return {}
        service = CONTROLLER if program == "squeue" else ACCOUNTING
        if service.silent:
            self.silent = self.silent or service.silent
            return {}
        hurried = service is ACCOUNTING and bool(CONTROLLER.silent)
        try:
            done = service.call(program, *options, "-j", ",".join(jobs), hurried=hurried)
        except OSError as error:
            self.silent = self.silent or f"{program} does not start ({error.strerror})"
            return {}
        except subprocess.TimeoutExpired:
            self.silent = self.silent or service.silent
            return {}
        if refuses(done) and "accounting storage is disabled" not in done.stderr:
            said = done.stderr.strip()
            last = said.splitlines()[-1].removeprefix(f"{program}: ") if said else "failed"
            self.silent = self.silent or f"{program}: {last}"
        found = {}
        for line in done.stdout.splitlines():
            id, state, reason, start, node = (line.split("|") + [""] * 5)[:5]
            if id in jobs:
                found[id] = replace(
                    jobs[id], state=state, reason=reason, start=start, node=node, certain=True
                )
        return found


def _number(id: str) -> int:
    return int("".join(filter(str.isdigit, id)) or 0)


def link_notes(run: RunDirectory) -> None:
    """Lead from *run* to the notes that Snakemake, started in this directory, will make.

    Other Snakemakes may have started in other directories.
    """
    from snakeval.evaluation.definition import digest  # slow to import

    target = Path(".snakemake/slurm_resume").absolute()
    for link in (run.slurm_notes_of(digest(str(target))[:8]), run.slurm_notes):
        if led_to(link) != target:
            lead(link, target)
