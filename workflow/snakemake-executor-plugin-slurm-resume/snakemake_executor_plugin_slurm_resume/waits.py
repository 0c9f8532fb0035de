"""Explains why jobs in the queue do not start, and what a person can do.

The reasons are those of squeue(1), whose ``%r`` is a word or a sentence. Of most reasons a job
starts when others end. A job with one of :data:`_CAUSES` waits forever, or until a person acts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from snakemake_executor_plugin_slurm_resume.states import HELD, Seen, base

_AGAIN = "stop the run, {}, and start it again"
#: Each reason with its remedy. ``{ids}`` are the ids of the jobs. The first match counts.
_CAUSES = tuple(
    (re.compile(pattern, re.IGNORECASE), to_do)
    for pattern, to_do in (
        (r"Reservation.*deleted", _AGAIN.format("name another reservation or none")),
        (r"JobHeldUser", "release with `scontrol release {ids}`"),
        (r"JobHeldAdmin", "ask an administrator for `scontrol release {ids}`"),
        (r"requeued|JobHoldMaxRequeue", "correct the cause, then `scontrol release {ids}`"),
        (r"account.*not permitted|AccountNotAllowed|InvalidAccount",
         _AGAIN.format("use another account or partition")),
        (r"QOS.*not permitted|QOSNotAllowed|InvalidQOS",
         _AGAIN.format("use another QOS or partition")),
        (r"PartitionTimeLimit|MaxWall\w*PerJobLimit|InvalidTime",
         _AGAIN.format("request less time (runtime, walltime)")),
        (r"PartitionNodeLimit|PartitionConfig|MaxMemPerLimit"
         r"|(QOS|Assoc)(Max|Min)\w+(PerJob|PerNode|MinutesPerJob)\w*|(QOS|Assoc)Min\w+",
         _AGAIN.format("request other amounts of nodes, CPUs, GPUs or memory")),
        (r"BadConstraints|InvalidConstraint", _AGAIN.format("correct the constraint or the sizes")),
        (r"DependencyNeverSatisfied", "cancel with `scancel {ids}`"),
        (r"PartitionDown|PartitionInactive",
         "wait until an administrator opens the partition, or use another one"),
        (r"DOWN, DRAINED|ReqNodeNotAvail|NodeDown",
         "wait until the nodes return, or use other ones"),
    )
)  # fmt: skip
_HELD_TO_DO = "correct the cause, then `scontrol release {ids}`"
#: Reasons of a queue that moves, or of a start that is known.
_USUAL = re.compile(r"|None|Priority|Resources|BeginTime|Dependency|Cleaning|Prolog")
#: Each unusual reason with what makes its jobs start. The first match counts.
_STARTS = (
    (re.compile("Reservation"), "the reservation begins"),
    (re.compile("Licenses"), "licenses are free"),
    (re.compile(r"Grp(?!\w*Run)\w*Minutes"), "the site frees minutes of the account or QOS"),
)
_OTHERS_END = "other jobs end, or never if a limit is smaller than a job"

#: Seconds after which a reason is reported even if more jobs with it arrive.
_LONGEST_COUNT = 30
#: Seconds without a job with a reason after which the reason is reported again.
_FORGOTTEN = 60
#: Seconds without a running job after which an unusual reason is reported.
_IDLE = 60


def to_do(state: str, reason: str) -> str:
    """Return what a person can do about a job that cannot start; empty if it can."""
    word = base(state)
    if word != "PENDING" and word not in HELD:
        return ""
    known = next((to_do for pattern, to_do in _CAUSES if pattern.search(reason)), "")
    return known or (_HELD_TO_DO if word in HELD else "")


def lines(jobs: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return a line for all jobs alike that cannot start; *jobs* maps ids to state and reason."""
    alike: dict[str, list[str]] = {}
    for number, (state, reason) in jobs.items():
        if to_do(state, reason):
            alike.setdefault(reason or base(state), []).append(number)
    return [_line(reason, to_do(*jobs[ids[0]]), ids) for reason, ids in alike.items()]


def _line(reason: str, what: str, ids: Sequence[str]) -> str:
    what = what.replace("{ids}", ",".join(ids))
    if len(ids) == 1:
        return f"Slurm job {ids[0]} cannot start ({reason}): {what}"
    return f"{len(ids)} Slurm jobs cannot start ({reason}): {what}. Jobs: {', '.join(ids)}"


class Waits:
    """Reports once for each reason that jobs cannot start, in one line for all of them."""

    def __init__(
        self, report: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock = report, clock
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._reported: set[str] = set()
        self._moved = clock()

    def look(self, seen: Iterable[Seen]) -> None:
        """Take the present states of all jobs, and report what is new and settled."""
        now = self._clock()
        alike: dict[str, list[Seen]] = {}
        idle: dict[str, list[Seen]] = {}
        for job in seen:
            reason = job.reason or base(job.state)
            if to_do(job.state, job.reason):
                alike.setdefault(reason, []).append(job)
            elif base(job.state) != "PENDING":
                self._moved = now
            elif not _USUAL.fullmatch(job.reason):
                idle.setdefault(reason, []).append(job)
        for reason in [r for r, last in self._last.items() if now - last > _FORGOTTEN]:
            for known in (self._last, self._first, self._counts):
                known.pop(reason, None)
            self._reported.discard(reason)
        for reason, jobs in alike.items():
            if self._is_settled(reason, len(jobs), now):
                what = to_do(jobs[0].state, jobs[0].reason)
                self._report(_line(reason, what, [job.id for job in jobs]))
        if now - self._moved >= _IDLE:
            for reason, jobs in idle.items():
                if self._is_settled(reason, len(jobs), now):
                    self._report(_idle_line(reason, [job.id for job in jobs]))

    def _is_settled(self, reason: str, count: int, now: float) -> bool:
        """Whether *reason* is to be reported: no job with it has arrived since the last look."""
        self._last[reason] = now
        first = self._first.setdefault(reason, now)
        is_same = self._counts.get(reason) == count
        self._counts[reason] = count
        if reason in self._reported or not (is_same or now - first >= _LONGEST_COUNT):
            return False
        self._reported.add(reason)
        return True


def _idle_line(reason: str, ids: Sequence[str]) -> str:
    jobs, start = f"{len(ids)} Slurm jobs wait", "They start"
    if len(ids) == 1:
        jobs, start = f"Slurm job {ids[0]} waits", "It starts"
    when = next((when for pattern, when in _STARTS if pattern.search(reason)), _OTHERS_END)
    return (
        f"{jobs} although none of this run's jobs runs ({reason}). {start} when {when}. "
        f"Jobs: {', '.join(ids)}"
    )
