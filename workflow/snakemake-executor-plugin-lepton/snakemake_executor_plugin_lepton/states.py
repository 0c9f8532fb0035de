"""Defines what a job's state means for the workflow."""

from __future__ import annotations

from enum import Enum

from leptonai.api.v2.types.job import LeptonJob, LeptonJobState

_WORDS = {
    LeptonJobState.Completed: "done",
    LeptonJobState.Failed: "failed",
    LeptonJobState.Stopped: "failed",
    LeptonJobState.Deleted: "failed",
    LeptonJobState.Archived: "gone",
    LeptonJobState.Unknown: "unknown",
    LeptonJobState.Starting: "starting",
}


#: The states of deleted and expired jobs.
GONE = ("Archived", "Deleting", "Deleted")


#: The states of jobs that wait for a node.
QUEUED = ("Queueing",)


class Reading(Enum):
    """The progress of a job."""

    LIVE = "live"  #: queued, running, preempted and queued again, about to be retried…
    STARTING = "starting"  #: also live; the job's events show why it does not run yet
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the job has reached its end."""
        return self in (Reading.DONE, Reading.FAILED)


def state_of(job: LeptonJob) -> str:
    """Return the state's name as the service displays it."""
    state = job.status.state if job.status else None
    return (state or LeptonJobState.Unknown).value


def read(job: LeptonJob) -> Reading:
    """Return the meaning of the job's state. An archived job counts by its successful parts."""
    state = job.status.state if job.status else None
    word = _WORDS.get(state or LeptonJobState.Unknown, "live")
    if word == "gone":
        succeeded = (job.status.succeeded if job.status else 0) or 0
        return Reading.DONE if succeeded >= (job.spec.completions or 1) else Reading.FAILED
    return Reading(word)
