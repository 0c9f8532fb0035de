"""A job as this head knows it, and how it ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_lepton.states import Reading
from snakemake_executor_plugin_lepton.task import Task
from snakemake_executor_plugin_lepton.transport import Place

#: Seconds until the first check of the events of a job that does not start; the pause doubles each
#: time.
EVENTS_FIRST = 2.0


@dataclass(slots=True)
class Tracked:
    """The state of one job as this head knows it."""

    info: SubmittedJobInfo
    task: Task
    place: Place
    name: str
    reading: Reading = Reading.LIVE
    state: str = "new"
    running_since: float | None = None
    unknown_since: float | None = None
    starting_since: float | None = None
    queued_since: float | None = None
    ran: bool = False  #: its container has run, perhaps on a node that it has lost
    old_warnings: Counter[str] | None = None  #: those of a start that succeeded
    ended_since: float | None = None
    events_at: float = 0.0  #: time of the next check of its events; 0: not seen starting yet
    events_pause: float = EVENTS_FIRST
    missing: int = 0  #: consecutive polls in which the service did not know it
    broken: str | None = None  #: why this head ends it, though the service would continue
    lease: Path | None = None  #: the file that this head holds while it works with the job
    overdue: bool = False  #: this head stopped it, because it outlived its runtime


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job for Snakemake; a failure has a text."""

    failure: str | None = None
    logs: tuple[str, ...] = ()
    final: str = ""  #: the problem, if another attempt would have the same
