"""The configuration and the plan that one command saves in its run.

An edited configuration or another command never changes them, so the jobs of the command read them
however long they wait in a queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from snakeval.files import Directory, write_if_changed
from snakeval.run.plan import Planned, plan_text, read_plan


class SavedInvocation(Directory):
    """Its directory in the run, whose name is a digest of the configuration and the plan."""

    __slots__ = ()

    @property
    def config(self) -> Path:
        """The resolved configuration of the command."""
        return self.path / "config.yaml"

    @property
    def plan_file(self) -> Path:
        """The evaluations of the command."""
        return self.path / "plan.json"

    @property
    def saved(self) -> float:
        """When the command started first; 0 if that is not known."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0

    def save(self, config: str, planned: Iterable[Planned]) -> None:
        """Save the configuration and the plan.

        Raises:
            OSError: they cannot be written.
        """
        write_if_changed(self.config, config)
        write_if_changed(self.plan_file, plan_text(planned))

    def plan(self) -> tuple[Planned, ...] | None:
        """Return the evaluations of the command; None if they cannot be read."""
        try:
            return read_plan(self.plan_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return None
