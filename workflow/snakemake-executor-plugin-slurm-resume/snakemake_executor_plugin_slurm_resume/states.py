"""Defines the meaning of Slurm's job states, and the consequences of how a job ended.

The states are those of squeue(1) and sacct(1), up to Slurm 25.05.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Meaning(Enum):
    """The meaning of a state for the plugin, which waits for the job."""

    LIVE = "it waits, runs, or will run again without help"
    DONE = "it has succeeded"
    LOST = "it ended through no fault of its own; another one continues its work"
    FAILED = "it has failed"


_LIVE = (
    "PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING",
    "COMPLETING", "STAGE_OUT", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "SPECIAL_EXIT", "RESV_DEL_HOLD", "REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL", "UPDATE_DB",
    "EXPEDITING",
)  # fmt: skip
#: Slurm waits for a person. All other live states change without help.
HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_MEANINGS = (
    dict.fromkeys(_LIVE, Meaning.LIVE)
    | {"COMPLETED": Meaning.DONE}
    | dict.fromkeys(("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"), Meaning.LOST)
    | dict.fromkeys(("FAILED", "CANCELLED", "OUT_OF_MEMORY", "DEADLINE"), Meaning.FAILED)
)
#: Own states of the notes: closed itself on the signal before its limit; unknown to Slurm.
CLOSED, VANISHED = "CLOSED", "VANISHED"
_OURS = {CLOSED: Meaning.LOST, VANISHED: Meaning.FAILED}

#: The signal may come this much early (sbatch(1), --signal), and a signalled job may end this much
#: late.
_SIGNAL_RESOLUTION, _SLACK = 60, 5
#: The exit code of a script whose command received the signal and did not finish: EX_TEMPFAIL of
#: sysexits.h. Slurm would treat 143 as a signal.
SIGNALLED = 75
#: The limit without max_total_runtime, for a job that makes no progress.
MAX_SUBMISSIONS = 100


def base(state: str) -> str:
    """Return the word of a state: ``CANCELLED by 0`` and ``CANCELLED+`` are CANCELLED."""
    return state.split()[0].rstrip("+") if state.strip() else ""


def meaning(state: str) -> Meaning:
    """Return the meaning of a state; an unknown state is live, never a success."""
    word = base(state)
    return _MEANINGS.get(word) or _OURS.get(word) or Meaning.LIVE


@dataclass(frozen=True, slots=True)
class Seen:
    """A Slurm job as squeue or sacct reports it.

    Times are in seconds. Only sacct knows ``exit_code`` and the canceller, who is a part of
    ``state``. ``total`` is ``elapsed`` plus the time before requeues, if known. ``place`` is the
    directory of the Snakemake that submitted it.
    """

    id: str
    state: str
    elapsed: int = 0
    limit: int | None = None
    node: str = ""
    reason: str = ""
    ended: str = ""
    name: str = ""
    exit_code: int | None = None
    total: int = 0
    place: str = ""


def signal_lead(wanted: int, limit: int | None) -> int:
    """Return the seconds between a job's signal and its *limit*: at most a quarter of the limit.

    0 if there is no limit, or no signal is wanted.
    """
    return 0 if limit is None else max(0, min(wanted, limit // 4))


def closed_itself(seen: Seen, lead: int, direct: bool) -> bool:
    """Whether a failed job closed itself on the signal that its time is nearly over.

    The job must have ended late enough to have received the signal. The exit code of a script of
    this plugin (*direct*) also shows that, if the accounting reports the exit code.
    """
    if base(seen.state) != "FAILED" or seen.limit is None or not lead:
        return False
    if direct and seen.exit_code not in (None, SIGNALLED):
        return False
    earliest = max(seen.limit - lead - _SIGNAL_RESOLUTION - _SLACK, seen.limit / 4)
    return seen.elapsed >= earliest


def spent(seconds: int, submissions: int, max_seconds: int) -> str:
    """Return why a task that ran for *seconds* in so many Slurm jobs is not submitted again.

    Empty if it may be submitted again.
    """
    if max_seconds:
        if seconds >= max_seconds:
            return (
                f"it has run for {clock(seconds)} in {submissions} Slurm jobs, and "
                f"max_total_runtime is {clock(max_seconds)}; increase it to continue"
            )
        return ""
    if submissions >= MAX_SUBMISSIONS:
        return f"it was submitted {submissions} times without max_total_runtime; set it to continue"
    return ""


def clock(seconds: float) -> str:
    """Format seconds for people: ``0:31``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
