"""Stands for an executor whose package is not installed here, or cannot be imported."""

from __future__ import annotations

from collections.abc import Iterator

from snakeval.executors.base import Check, Executor, Fate, Intent, Remain, Stage, Stopping
from snakeval.run.directory import RunDirectory


class Absent(Executor):
    """Knows nothing of its jobs, and says so."""

    def __init__(self, name: str, why: str) -> None:
        self.title, self._why = name, why

    def checks(self, intent: Intent) -> Iterator[Check]:
        """Say why it is not here."""
        yield Check(f"executor {self.title}", "wrong", self._why)

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Name the jobs that may be left."""
        text = f"jobs of the executor {self.title}, perhaps: {self._why}"
        unknown = Remain(f"executor {self.title}", text, fate=Fate.UNKNOWN)
        return Stopping({Stage.LEFT: lambda: [unknown]})
