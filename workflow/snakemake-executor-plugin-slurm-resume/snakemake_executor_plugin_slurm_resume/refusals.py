"""Reads why sbatch rejected a job, and whether the same job may be accepted later."""

from __future__ import annotations

import re

#: Errors of a controller that restarts or is too busy; they do not concern the job.
_BUSY = re.compile(
    r"unable to contact slurm controller|socket timed out|connection (refused|reset|timed out)"
    r"|zero bytes were transmitted|temporarily un(available|able)|unexpected message received",
    re.IGNORECASE,
)
#: Slurm's codes of limits on the number of submitted jobs. Not its sentence "Job violates
#: accounting/QOS policy", which it also uses for sizes and times that it never accepts.
_SUBMIT_LIMIT = re.compile(r"\b(QOS|Assoc)(Max|Grp)SubmitJobs?(Per(User|Account))?Limit\b")
#: sbatch prints a message whenever Slurm rejects a job. Without one, a signal ended it.
SILENT = "sbatch failed without a message"
#: The message of the official plugin.
_MESSAGE = re.compile(r"The error message was '(.*?)'\.\n", re.DOTALL)


def words(message: str) -> str:
    """Return what sbatch printed, on one line, of a *message* of the official plugin."""
    found = _MESSAGE.search(message)
    text = found[1] if found else message
    said = " ".join(text.replace("sbatch: error:", "").split())
    return said or SILENT


def is_busy(said: str) -> bool:
    """Whether *said* is about the controller, not about the job."""
    return bool(_BUSY.search(said))


def submit_limit(said: str) -> str:
    """Return the code of the limit on submitted jobs in *said*, or nothing."""
    found = _SUBMIT_LIMIT.search(said)
    return found[0] if found else ""
