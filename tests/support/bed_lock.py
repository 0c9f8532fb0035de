"""Locks of test beds: tests use a bed side by side, and a test that changes it is alone.

A lock is a file of this machine, so that it also holds between two runs of the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path


class BedLock:
    """The lock of one bed. A fixture of several tests may hold it around the tests' own locks."""

    def __init__(self, name: str) -> None:
        self._lock = Path(tempfile.gettempdir()) / f"snakeval-testbed-{name}.lock"
        #: A process that waits to be alone holds the gate, so that no other process enters.
        self._gate = self._lock.with_suffix(".gate")
        self._holders = 0
        self._alone = False
        self._held = contextlib.ExitStack()

    @contextlib.contextmanager
    def __call__(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the lock: with others, who leave the bed as it is, or *alone*.

        The process holds it until the last of its holders leaves, who may not be the first.
        """
        if self._holders and alone and not self._alone:
            raise RuntimeError(f"{self._lock.name}: this process already shares the bed")
        if not self._holders:
            self._hold(alone)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._held.close()

    def _hold(self, alone: bool) -> None:
        lock = self._held.enter_context(self._lock.open("w"))
        with self._gate.open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        self._alone = alone
