"""What Slurm's job states mean here, and what follows from how a job ended.

The states are those of squeue(1) and sacct(1), up to Slurm 25.05.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Meaning(Enum):
    """What a state means for whoever waits for the job."""

    LIVE = "it waits, runs, or will run again by itself"
    DONE = "it has succeeded"
    LOST = "it was ended through no fault of its own; another one goes on"
    FAILED = "it has failed"


_LIVE = (
    "PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING",
    "COMPLETING", "STAGE_OUT", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "SPECIAL_EXIT", "RESV_DEL_HOLD", "REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL", "UPDATE_DB",
    "EXPEDITING",
)  # fmt: skip
#: Slurm waits for a person; everything else that is live moves by itself.
HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_MEANINGS = (
    dict.fromkeys(_LIVE, Meaning.LIVE)
    | {"COMPLETED": Meaning.DONE}
    | dict.fromkeys(("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"), Meaning.LOST)
    | dict.fromkeys(("FAILED", "CANCELLED", "OUT_OF_MEMORY", "DEADLINE"), Meaning.FAILED)
)
#: Ours, for the notes: it closed itself on the signal before its limit, or nobody knows it.
CLOSED, VANISHED = "CLOSED", "VANISHED"
_OURS = {CLOSED: Meaning.LOST, VANISHED: Meaning.FAILED}

#: The signal may come so much earlier than asked for (sbatch(1), --signal), and so much later a
#: job that was told may have ended.
_SIGNAL_RESOLUTION, _SLACK = 60, 5
#: How a script of ours ends whose command was told by the signal and did not finish: EX_TEMPFAIL
#: of sysexits.h. Slurm would take 143 for a signal.
TOLD = 75
#: Without max_total_runtime: a job that makes no progress is not submitted for ever.
MAX_SUBMISSIONS = 100


def base(state: str) -> str:
    """Return the word of a state: ``CANCELLED by 0`` and ``CANCELLED+`` are CANCELLED."""
    return state.split()[0].rstrip("+") if state.strip() else ""


def meaning(state: str) -> Meaning:
    """Return what a state means; one that is not known is waited for, it is no success."""
    word = base(state)
    return _MEANINGS.get(word) or _OURS.get(word) or Meaning.LIVE


@dataclass(frozen=True, slots=True)
class Seen:
    """A Slurm job as squeue or sacct tells of it.

    Times are in seconds. ``exit_code`` is known to sacct only, and so is who cancelled it, as a
    part of ``state``. ``total`` is ``elapsed`` with what ran before requeues, where known.
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


def signal_lead(wanted: int, limit: int | None) -> int:
    """Return how long before *limit* a job is told, in seconds: at most a quarter of it.

    0 where there is no limit, or no signal is wanted.
    """
    return 0 if limit is None else max(0, min(wanted, limit // 4))


def closed_itself(seen: Seen, lead: int, direct: bool) -> bool:
    """Tell whether a job that failed did so since it was told that its time is nearly over.

    It ended late enough for the signal to have come. A script of ours (*direct*) says that it was
    told by its exit code, where the accounting hands that on.
    """
    if base(seen.state) != "FAILED" or seen.limit is None or not lead:
        return False
    if direct and seen.exit_code not in (None, TOLD):
        return False
    earliest = max(seen.limit - lead - _SIGNAL_RESOLUTION - _SLACK, seen.limit / 4)
    return seen.elapsed >= earliest


def spent(seconds: int, submissions: int, max_seconds: int) -> str:
    """Say why a task that ran for *seconds* in so many Slurm jobs is not submitted again.

    Empty where it is.
    """
    if max_seconds:
        if seconds >= max_seconds:
            return (
                f"it has run for {clock(seconds)} in {submissions} Slurm jobs, and "
                f"max_total_runtime is {clock(max_seconds)}; raise that to go on"
            )
        return ""
    if submissions >= MAX_SUBMISSIONS:
        return f"it was submitted {submissions} times without max_total_runtime; set that to go on"
    return ""


def clock(seconds: float) -> str:
    """Return seconds as people read them: ``0:31``, ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
