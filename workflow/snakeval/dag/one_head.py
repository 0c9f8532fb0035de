"""Refuses a second Snakemake at evaluations whose jobs a living one has in a queue.

The end of a Snakemake cancels its jobs. A second one that adopted them would also cancel them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError, Problem
from snakeval.run.heads import HEAD_JOB, Head, heads

#: How many evaluations are listed that another Snakemake works at.
_MOST = 5


def refuse_second_head(invocation: Invocation, *, entered: bool = False) -> None:
    """Check that no other Snakemake works at an evaluation that this command chose.

    With *entered*, this command has a note of its own in the run. Of two that began at the same
    time, the later one fails.

    Raises:
        ConfigError: another Snakemake does.
    """
    run = invocation.directory
    working = heads(run, writes=entered) if run.exists else []
    here = (socket.gethostname(), os.getpid())
    own = next((head for head in working if (head.host, head.pid) == here), None)
    for head in working:
        if head is own or not _works(head) or _is_my_job(head):
            continue
        if entered and own and (own.since, own.host, own.pid) < (head.since, head.host, head.pid):
            continue
        if shared := list(_shared(invocation, head)):
            raise ConfigError.of([_problem(invocation, head, shared)])


def _works(head: Head) -> bool:
    """Whether a Snakemake works now. One that cannot be seen counts while it shows that it lives.

    A head of an earlier version shows nothing.
    """
    lives = head.lives
    return bool(lives) or (lives is None and head.beats > 0)


def _is_my_job(head: Head) -> bool:
    """Whether a head was the Slurm job that this process is: the job started again."""
    return bool(head.job) and head.job == os.environ.get(HEAD_JOB)


def _shared(invocation: Invocation, head: Head) -> Iterator[str]:
    """Yield the evaluations that both commands chose."""
    plan = invocation.directory.invocation(head.invocation).plan() if head.invocation else None
    theirs = None if plan is None else {item.id for item in plan if not item.left_out}
    for evaluation in invocation.selected.values():
        base = invocation.config.base(evaluation.benchmark)
        if (
            (theirs is None or evaluation.id in theirs)
            and (not head.models or evaluation.model in head.models)
            and (not head.benchmarks or base in head.benchmarks)
        ):
            yield evaluation.id


def _problem(invocation: Invocation, head: Head, shared: list[str]) -> Problem:
    id = invocation.run.id
    listed = ", ".join(shared[:_MOST])
    more = f" and {len(shared) - _MOST} more" if len(shared) > _MOST else ""
    hint = f"follow it with `snakeval status {id} --watch`, or stop it with `snakeval kill {id}`"
    if head.lives is None:
        hint += f"; if it has ended, try again {head.silence:.0f} s after its end"
    return Problem(
        f"process {head.pid} on {head.host} already works at {listed}{more}", f"run {id}", hint
    )
