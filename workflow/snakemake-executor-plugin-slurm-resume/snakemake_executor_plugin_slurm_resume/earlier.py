"""Finds the jobs that were in Slurm's queue at the start of this Snakemake, and their tasks."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snakemake_executor_plugin_slurm_resume.identity import Task
from snakemake_executor_plugin_slurm_resume.notes import Note, Notes
from snakemake_executor_plugin_slurm_resume.states import Meaning, Seen, meaning


@dataclass(frozen=True, slots=True)
class Match:
    """The jobs in the queue for a task.

    The ``same`` job makes all of the task's files. ``note`` is its note, which may have more files.
    ``outdated`` jobs make the files with other params; ``overlapping`` jobs make some of them.
    """

    same: Seen | None = None
    note: Note | None = None
    outdated: tuple[Seen, ...] = ()
    overlapping: tuple[Seen, ...] = ()


class Earlier:
    """The earlier jobs that live, or have succeeded since this process started, by their files.

    A job that has succeeded since then was running when Snakemake checked for missing outputs.
    """

    def __init__(
        self, rows: Collection[Seen], notes: Notes, forgotten: Collection[str] = ()
    ) -> None:
        began = _began()
        self._known = {seen.id for seen in rows}
        self._named: dict[str, Seen] = {}
        self._noted: dict[str, tuple[Seen, Note]] = {}
        self._makers: dict[str, list[str]] = {}
        for seen in rows:
            what = meaning(seen.state)
            if seen.id in forgotten:
                continue
            if what is not Meaning.LIVE and not (
                what is Meaning.DONE and seen.ended >= began and notes.read(seen.name)
            ):
                continue
            self._named[seen.name] = seen
            if note := notes.read(seen.name):
                self._noted[seen.id] = (seen, note)
                for output in note.task.outputs:
                    self._makers.setdefault(output, []).append(seen.id)

    def knows(self, number: str) -> bool:
        """Whether a job was in the queue when it was read."""
        return number in self._known

    def match(self, wanted: Task) -> Match:
        """Return the jobs in the queue for *wanted*."""
        numbers = dict.fromkeys(n for o in wanted.outputs for n in self._makers.get(o, ()))
        makers = [self._noted[number] for number in numbers if number in self._noted]
        if not makers:
            # The note is lost. The name has the same information, except for the params.
            return Match(same=self._named.get(wanted.name))
        outdated, overlapping = [], []
        for seen, note in makers:
            made = note.task.outputs
            live = meaning(seen.state) is Meaning.LIVE
            if any(made.get(output, digest) != digest for output, digest in wanted.outputs.items()):
                outdated += [seen] if live else []
            elif made.keys() >= wanted.outputs.keys():
                return Match(same=seen, note=note)
            elif live:
                overlapping.append(seen)
        return Match(outdated=tuple(outdated), overlapping=tuple(overlapping))

    def forget(self, number: str) -> None:
        """Forget an ended job, so that its files can be submitted again."""
        self._named = {name: seen for name, seen in self._named.items() if seen.id != number}
        self._noted.pop(number, None)


def _began() -> str:
    """Return the start time of this process (proc(5), field 22 of stat), as squeue writes times."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    ticks = int(fields.rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age).isoformat(timespec="seconds")
