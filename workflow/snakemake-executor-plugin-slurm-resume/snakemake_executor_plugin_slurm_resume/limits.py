"""Limits on the number of submitted jobs: they pass when a job ends, unless they are 0."""

from __future__ import annotations

import getpass
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.refusals import submit_limit
from snakemake_executor_plugin_slurm_resume.states import Meaning, meaning

#: Seconds before each repetition of a failed submission; the last value applies from then on.
PAUSES = (1, 2, 5, 10, 30)
#: Seconds until a limit of the user is hopeless that Slurm does not explain, if no job is left.
_HOPELESS_SECONDS = 300


class Place(NamedTuple):
    """Decides which limits a job has; an empty text is the default of the user."""

    account: str
    qos: str
    partition: str


def place(job: Any, account: str) -> Place:
    """Return the place of *job*; *account* is the option of sbatch for its account."""
    found = re.search(r"-A\s+'?([^'\s]+)", account)
    partitions = str(job.resources.get("slurm_partition") or "")
    return Place(
        found[1] if found else "",
        str(job.resources.get("qos") or ""),
        partitions.partition(",")[0],
    )


class SubmitLimits:
    """Waits for limits on submitted jobs; one job of each :class:`Place` tries at a time.

    *stopped* returns whether to submit nothing more.
    """

    def __init__(
        self, stopped: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stopped, self._clock = stopped, clock
        self._condition = threading.Condition()
        self._ends = 0
        self._trying: set[Place] = set()
        self._reported: set[str] = set()
        self._above_zero: set[tuple[str, Place]] = set()
        self._idle: dict[Place, float] = {}

    def wake(self) -> None:
        """Note that a job has ended, or that nothing more is submitted."""
        with self._condition:
            self._ends += 1
            self._condition.notify_all()

    def submit_when_possible(
        self, submit: Callable[[], str], said: str, where: Place, report: Callable[[str], Any]
    ) -> str:
        """Call *submit* again until no limit rejects the job; return what it returned last.

        *submit* returns why Slurm rejects the job, or nothing. *said* is its first answer.
        """
        with self._turn(where) as has_queued:
            said = submit() if has_queued and not self._stopped() else said
            number = 0
            while not self._stopped() and (code := submit_limit(said)):
                if why := self._why_never(code, where):
                    return f"{said}; {why}"
                if self._is_news(code):
                    report(f"Slurm accepts no more jobs now ({said}). Waiting until a job ends.")
                number = 0 if self._wait(PAUSES[min(number, len(PAUSES) - 1)]) else number + 1
                if not self._stopped():
                    said = submit()
        return said

    def _is_news(self, code: str) -> bool:
        with self._condition:
            known = code in self._reported
            self._reported.add(code)
        return not known

    @contextmanager
    def _turn(self, where: Place) -> Iterator[bool]:
        """Wait until no other job of *where* tries; yield whether one did."""
        with self._condition:
            has_queued = where in self._trying
            while where in self._trying and not self._stopped():
                self._condition.wait(1)
            self._trying.add(where)
        try:
            yield has_queued
        finally:
            with self._condition:
                self._trying.discard(where)
                self._condition.notify_all()

    def _wait(self, seconds: float) -> bool:
        """Wait so many seconds, or until a job ends; return whether one ended."""
        with self._condition:
            before = self._ends
            end = self._clock() + seconds
            while self._ends == before and not self._stopped():
                left = end - self._clock()
                if left <= 0:
                    return False
                self._condition.wait(min(left, 1))
            return True

    def _why_never(self, code: str, where: Place) -> str:
        """Return why the limit *code* does not pass; empty if it does, or may."""
        if (code, where) in self._above_zero:
            return ""
        try:
            zero = _zero(code, where)
        except (slurm.UnansweredError, slurm.NoAccountingError):
            return self._why_hopeless(code, where)
        if zero:
            return f"the limit is 0 for {zero}, so Slurm never accepts the job"
        self._above_zero.add((code, where))
        return ""

    def _why_hopeless(self, code: str, where: Place) -> str:
        """Decide without the accounting: if the user has no job, none can end."""
        if not code.endswith("PerUserLimit") and code != "AssocMaxSubmitJobLimit":
            return ""  # jobs of other users also count
        try:
            live = any(meaning(s.state) is Meaning.LIVE for s in slurm.queue().values())
        except slurm.UnansweredError:
            live = True
        now = self._clock()
        if live:
            self._idle.pop(where, None)
            return ""
        since = self._idle.setdefault(where, now)
        return "" if now - since < _HOPELESS_SECONDS else "you have no job that could end"


def _zero(code: str, where: Place) -> str:
    """Return the QOS or the account whose limit *code* is 0, or nothing."""
    if code.startswith("QOS"):
        column = 2 if "PerAccount" in code else 3 if "Grp" in code else 1
        names = _qos_names(where)
        fields = "Name,MaxSubmitJobsPerUser,MaxSubmitJobsPerAccount,GrpSubmitJobs"
        rows = slurm.manager("qos", fields)
        return next((f"QOS {row[0]}" for row in rows if row[0] in names and row[column] == "0"), "")
    fields = "Account,User,ParentName,MaxSubmitJobs,GrpSubmitJobs"
    rows = slurm.manager("assoc", fields)
    user, account = getpass.getuser(), where.account or _default_account()
    parents = {row[0]: row[2] for row in rows if not row[1]}
    while account:
        for row in rows:
            if row[0] == account and row[1] in ("", user) and "0" in row[3:5]:
                return f"account {account}"
        account = parents.get(account, "")
    return ""


def _default_account() -> str:
    rows = slurm.manager("user", "DefaultAccount", getpass.getuser())
    return rows[0][0] if rows else ""


def _qos_names(where: Place) -> set[str]:
    """Return the QOS of the job, or else the user's default ones, and that of the partition."""
    names = {where.qos} - {""}
    if not names:
        account = where.account or _default_account()
        rows = slurm.manager("assoc", "Account,User,DefaultQOS")
        names = {row[2] for row in rows if row[:2] == [account, getpass.getuser()]} - {""}
    if where.partition:
        names |= slurm.partition_qos(where.partition)
    return names or {"normal"}
