"""Time limits: of a Slurm job, of all resubmissions together, and of the signal before the end."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Mapping
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.slurm import UnansweredError
from snakemake_executor_plugin_slurm_resume.states import signal_lead

_SIGNAL = re.compile(r"--signal\b(?:[=\s]\S*?@(\d+))?")
#: The lead that Slurm assumes for a signal without one.
_DEFAULT_LEAD = 60


class TimeLimits:
    """Answers for each job. *partition_of* returns sbatch's option for a job's partition.

    Attributes:
        leads: the seconds between the signal to a job and its limit, once :meth:`set_lead` set it.
    """

    def __init__(self, settings: Any, partition_of: Callable[[Any], str]) -> None:
        self.leads: dict[Any, int] = {}
        self._settings = settings
        self._partition_of = partition_of
        self._limits: Mapping[str, slurm.Limits] | None = None
        self._lock = threading.Lock()

    def set_lead(self, job: Any) -> int:
        """Return the seconds between the signal to *job* and its limit, and remember them."""
        own = _SIGNAL.search(_extra(job))
        wanted = self._settings.signal_seconds
        if own:
            lead = int(own[1] or _DEFAULT_LEAD)
        else:
            lead = signal_lead(wanted, self._limit(job)) if wanted else 0
        self.leads[job] = lead
        return lead

    def _limit(self, job: Any) -> int | None:
        """Return the time limit of *job* in seconds."""
        if runtime := job.resources.get("runtime"):
            return int(runtime) * 60
        with self._lock:
            if self._limits is None:
                try:
                    self._limits = slurm.limits()
                except UnansweredError:
                    self._limits = {}
        names = shlex.split(self._partition_of(job) or "")[-1:]
        found = [
            limit.default or limit.longest
            for name in (names[0].split(",") if names else ())
            if (limit := self._limits.get(name))
        ]
        known = [limit for limit in found if limit]
        return min(known) if known else None

    def longest(self, job: Any) -> int:
        """Return the seconds that all Slurm jobs of *job* may run in total.

        Raises:
            WorkflowError: the resource is not a number of minutes.
        """
        members = job.jobs if job.is_group() else (job,)
        # Not the group's resource: Snakemake adds the values of simultaneous members.
        wanted = [member.resources.get("max_total_runtime") or 0 for member in members]
        for minutes in wanted:
            if not isinstance(minutes, int):
                raise WorkflowError(
                    f"max_total_runtime must be a whole number of minutes, not {minutes!r}"
                )
        return 60 * (max(wanted) or self._settings.max_total_runtime)


def has_signal(job: Any) -> bool:
    """Return whether the user's own options for *job* ask for a signal."""
    return bool(_SIGNAL.search(_extra(job)))


def _extra(job: Any) -> str:
    return str(job.resources.get("slurm_extra") or "")
