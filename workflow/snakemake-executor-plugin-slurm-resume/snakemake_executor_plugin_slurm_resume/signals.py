"""Defines what the signals of a user mean: SIGINT cancels the jobs, SIGTERM and SIGHUP leave them.

Snakemake itself waits for all running jobs after a SIGTERM, perhaps for hours, and ends silently on
a SIGHUP. A Slurm job requires no Snakemake, and the next one adopts it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

from snakemake_interface_common.exceptions import ApiError

from snakemake_executor_plugin_slurm_resume.slurm import deadline

_LEAVES = (signal.SIGTERM, signal.SIGHUP)
#: How many ids a message lists.
_MOST = 20


class LeftError(ApiError):
    """This Snakemake ends, and its jobs continue. Snakemake prints the message in one line."""


class Signals:
    """The signals of this process. *leave* ends it, with the name of the signal.

    A handler runs between any two steps of the main thread, which may hold a lock. The handler
    therefore only wakes a thread, and the thread acts.
    """

    def __init__(self, leave: Callable[[str], None]) -> None:
        self._leave = leave
        self._came = ""
        self._wake = threading.Event()
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle SIGTERM and SIGHUP from now on, once. A signal that is ignored stays ignored."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in _LEAVES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        threading.Thread(target=self._watch, name="slurm-resume-signals", daemon=True).start()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._came:
            self._came = signal.Signals(number).name
            self._wake.set()

    def _watch(self) -> None:
        self._wake.wait()
        if self._came:
            self._leave(self._came)

    def expect_another(self) -> None:
        """Let another signal end the cancelling at once."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_LEAVES):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before = signal.signal(number, lambda number, frame: deadline.within(0))
                    self._before.setdefault(number, before)

    def restore(self) -> None:
        """Give signals the handlers back that :meth:`install` replaced."""
        self._wake.set()
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._before.clear()


def left(name: str, numbers: list[str]) -> str:
    """Return the line on what continues after the signal *name*.

    >>> left("SIGHUP", ["12"])
    'SIGHUP: Slurm job 12 continues. Run the same command to resume, or end it: scancel 12'
    """
    if not numbers:
        return f"{name}: no Slurm job is left. Run the same command to resume"
    it, verb = ("them", "continue") if len(numbers) > 1 else ("it", "continues")
    return (
        f"{name}: {ids(numbers)} {verb}. Run the same command to resume, or end {it}: "
        f"scancel {' '.join(numbers)}"
    )


def perhaps_left(numbers: Collection[str], names: Collection[str], said: Collection[str]) -> str:
    """Return the line on what a cancelling may have left, and Slurm's messages.

    *numbers* are the ids of jobs; *names* are those of jobs whose sbatch gave no answer.

    >>> perhaps_left(["1"], ["m_b"], ["squeue: no answer"])
    'Perhaps left in Slurm: Slurm job 1 and any job called m_b; squeue: no answer. Run the same \
command to resume, or end them: scancel 1; scancel --name m_b'
    """
    known, called = sorted(numbers), sorted(names)
    what = [ids(known)] if known else []
    what += [f"any job called {', '.join(called[:_MOST])}"] if called else []
    commands = [f"scancel {' '.join(known)}"] if known else []
    commands += [f"scancel --name {','.join(called)}"] if called else []
    return (
        f"Perhaps left in Slurm: {' and '.join(what)}; {'; '.join(said) or 'they do not end'}. "
        f"Run the same command to resume, or end them: {'; '.join(commands)}"
    )


def ids(numbers: list[str]) -> str:
    """List Slurm jobs for people.

    >>> ids(["1", "2"])
    'Slurm jobs 1, 2'
    """
    listed = ", ".join(numbers[:_MOST])
    more = f" and {len(numbers) - _MOST} more" if len(numbers) > _MOST else ""
    return f"Slurm job{'s' if len(numbers) > 1 else ''} {listed}{more}"
