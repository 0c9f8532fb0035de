"""Calls Slurm's commands, and remembers for a while that one of its services is silent."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from collections.abc import Callable, Collection

_UNREACHABLE = re.compile(
    r"unable to contact|timed out|connect(ion)? (failure|refused|reset)|socket", re.IGNORECASE
)
#: The commands that only the controller answers.
_OF_CONTROLLER = ("squeue", "scancel", "scontrol", "sinfo", "sbatch")


class Controller:
    """Slurm's controller, or another service of it, as the *commands* of this process find it.

    A call waits *seconds* for an answer. Once the service was silent, each further call waits only
    *brief* seconds. For *memory* seconds, :attr:`silent` has the reason, and no one need ask.
    """

    def __init__(
        self,
        seconds: float = 20.0,
        brief: float = 5.0,
        memory: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        commands: Collection[str] = _OF_CONTROLLER,
    ) -> None:
        self._commands = commands
        self._seconds, self._brief, self._memory, self._clock = seconds, brief, memory, clock
        self._why, self._first, self._last, self._path = "", 0.0, 0.0, ""
        self._left = math.inf

    def within(self, seconds: float) -> None:
        """Wait for answers that do not come for so many seconds in all, from now on.

        A busy controller may take most of them for its first answer: a stop is worth the wait.
        """
        self._left = seconds
        self._seconds = max(self._seconds, seconds - self._brief)

    @property
    def is_spent(self) -> bool:
        """Whether the service was silent for as long as this process waits for it."""
        return self._left <= 0

    def call(self, *command: str, hurried: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm; the caller judges the exit code and the output.

        If *hurried*, wait as briefly as for a service that was silent.

        Raises:
            OSError: the command cannot be started.
            subprocess.TimeoutExpired: it does not answer.
        """
        if self.is_spent and command[0] in self._commands:
            raise subprocess.TimeoutExpired(command, 0)
        limit = self._limit(hurried=hurried)
        began = self._clock()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired as error:
            if command[0] in self._commands:
                self._left -= error.timeout
                self._note(f"{command[0]} does not answer within {error.timeout:.0f} s")
            raise
        if command[0] in self._commands:
            # Only the controller's refusals: those of the accounting come at once, each time.
            refused = command[0] in _OF_CONTROLLER and _UNREACHABLE.search(done.stderr)
            if done.returncode != 0 and refused:
                self._left -= self._clock() - began
                self._note(f"{command[0]}: {done.stderr.strip().splitlines()[-1]}")
            else:
                self._why = ""
        return done

    def _limit(self, *, hurried: bool) -> float:
        if hurried or self._is_known_silent:
            return min(self._brief, self._left)
        # A first call leaves time for one more, such as the one that cancels.
        return min(self._seconds, max(self._left - self._brief, min(self._brief, self._left)))

    def _note(self, why: str) -> None:
        now = self._clock()
        if not self._is_known_silent:
            self._first = now
        self._why, self._last, self._path = why, now, os.environ.get("PATH", "")

    @property
    def _is_known_silent(self) -> bool:
        # Another PATH has other commands.
        return bool(self._why) and self._path == os.environ.get("PATH", "")

    @property
    def silent(self) -> str:
        """Why the controller need not be asked now; empty if it may answer."""
        is_recent = self._clock() - self._last < self._memory or self.is_spent
        return self._why if self._is_known_silent and is_recent else ""

    @property
    def silent_seconds(self) -> float:
        """For how long it has been silent; 0 if its last answer was none of silence."""
        return self._clock() - self._first if self._is_known_silent else 0.0


def services() -> tuple[Controller, Controller]:
    """Return a cluster's controller and accounting, for which a look waits only a few seconds."""
    return Controller(seconds=5.0), Controller(seconds=5.0, brief=2.0, commands=("sacct",))


#: The controller of this process's cluster, and the accounting of the same cluster.
CONTROLLER, ACCOUNTING = services()
