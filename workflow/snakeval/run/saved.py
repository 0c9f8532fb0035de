"""The configuration and the plan that one command saves in its run.

An edited configuration or another command never changes them, so the jobs of the command read them
however long they wait in a queue.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from snakeval.files import (
    DAMAGE,
    Directory,
    has_seal,
    json_object,
    read_text,
    sealed,
    write_atomically,
    write_if_changed,
)
from snakeval.run.plan import Planned, plan_text, read_plan

if TYPE_CHECKING:
    from snakeval.evaluation.definition import Evaluation


@dataclass(frozen=True, slots=True)
class Definitions:
    """The evaluations of a command, and the deployments that it serves, as plain data."""

    evaluations: tuple[Evaluation, ...]
    deployments: Mapping[str, Any]


class SavedInvocation(Directory):
    """Its directory in the run, whose name is a digest of the configuration and the plan."""

    __slots__ = ()

    @classmethod
    def of_config(cls, file: Path) -> Self | None:
        """Return the command that saved its configuration as *file*, if one did."""
        found = cls(file.parent)
        is_saved = file.name == found.config.name and found._definitions.exists()
        return found if is_saved and file.parent.parent.name == "invocations" else None

    @property
    def run_path(self) -> Path:
        """The run's directory."""
        return self.path.parent.parent.parent

    @property
    def config(self) -> Path:
        """The resolved configuration of the command."""
        return self.path / "config.yaml"

    @property
    def plan_file(self) -> Path:
        """The evaluations of the command."""
        return self.path / "plan.json"

    @property
    def allocations(self) -> Path:
        """Which evaluations of the command share an allocation."""
        return self.path / "allocations.json"

    @property
    def _definitions(self) -> Path:
        return self.path / "definitions.json"

    @property
    def saved(self) -> float:
        """When the command started first; 0 if that is not known."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0

    def save(
        self,
        config: str,
        planned: Iterable[Planned],
        evaluations: Iterable[Evaluation],
        deployments: Mapping[str, Any],
    ) -> None:
        """Save the configuration, the plan, and the definitions behind it.

        Raises:
            OSError: they cannot be written.
        """
        write_if_changed(self.plan_file, plan_text(planned))
        write_if_changed(self.config, config)
        try:
            self.definitions()  # equal commands have equal definitions
        except (OSError, *DAMAGE):
            each = [evaluation.as_dict() for evaluation in evaluations]
            data = {"evaluations": each, "deployments": dict(deployments)}
            write_atomically(self._definitions, sealed(data))

    def remove(self) -> None:
        """Remove what a command saved that does not start."""
        shutil.rmtree(self.path, ignore_errors=True)

    def definitions(self) -> Definitions:
        """Return the evaluations and the deployments of the command.

        Raises:
            OSError, ValueError, KeyError, TypeError: they cannot be read.
        """
        data = json_object(read_text(self._definitions).encode())
        if not has_seal(data):
            raise ValueError(f"{self._definitions} has no seal")
        return Definitions(tuple(map(_evaluation, data["evaluations"])), data["deployments"])

    def plan(self) -> tuple[Planned, ...] | None:
        """Return the evaluations of the command; None if they cannot be read."""
        try:
            return read_plan(read_text(self.plan_file))
        except (OSError, ValueError, TypeError):
            return None


def _evaluation(data: Mapping[str, Any]) -> Evaluation:
    from snakeval.evaluation.definition import Evaluation  # slow to import

    evaluation = Evaluation.from_dict(data)
    # The one that the command planned with: no job computes it again.
    evaluation.__dict__["fingerprint"] = str(data["fingerprint"])
    return evaluation
