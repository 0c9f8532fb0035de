"""Ends the submissions of this Snakemake, and cancels its Slurm jobs."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from snakemake_executor_plugin_slurm_resume import slurm
from snakemake_executor_plugin_slurm_resume.slurm import UnansweredError
from snakemake_executor_plugin_slurm_resume.states import Meaning, base, meaning

#: Seconds that an sbatch may take to end by itself, and then after each signal.
_SUBMISSION_SECONDS = 3.0
#: The controller requires a moment before a cancelled job is gone.
_PAUSES = (0.5, 1.0, 1.5)


def end_submissions(pool: ThreadPoolExecutor, seconds: float = _SUBMISSION_SECONDS) -> None:
    """End the threads that submit jobs. An sbatch that gets no answer is interrupted."""
    pool.shutdown(wait=False, cancel_futures=True)
    for order in (None, signal.SIGINT, signal.SIGKILL):
        if order is not None:
            _signal_sbatch(order)
        until = time.monotonic() + seconds
        for thread in pool._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in pool._threads):
            return


def _signal_sbatch(number: signal.Signals) -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name() == "sbatch":
                process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The result of a cancelling: the jobs that may be *left*, and Slurm's messages."""

    left: frozenset[str]
    said: tuple[str, ...] = ()


def cancel(
    jobs: Collection[str],
    names: Collection[str],
    spared: Collection[str],
    clusters: Collection[str] = (),
    pause: Callable[[float], None] = time.sleep,
) -> Cancelled:
    """Cancel *jobs* and all jobs called one of *names*, except those that are *spared*.

    Look again after each try. The names matter because a Ctrl-C may have ended an sbatch that had
    submitted.
    """
    mine = set(jobs) - set(spared)
    said: list[str] = []
    for seconds in _PAUSES:
        if slurm.deadline.is_over:
            break
        said += slurm.cancel(mine, clusters)
        if slurm.deadline.is_over:
            break
        pause(seconds)
        try:
            rows = slurm.queue(clusters)
        except UnansweredError as error:
            said.append(str(error))
            continue
        mine = {
            seen.id
            for seen in rows.values()
            if (seen.id in mine or seen.name in names)
            and seen.id not in spared
            and meaning(seen.state) is Meaning.LIVE
            and base(seen.state) != "COMPLETING"
        }
        if not mine:
            return Cancelled(frozenset())
    return Cancelled(frozenset(mine), tuple(dict.fromkeys(said)))
