"""Notes which rows the history of a series' W&B run has, so that an export adds only new ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snakeval.evaluation.definition import digest
from snakeval.exporters.package import Package, Step
from snakeval.files import DAMAGE, read_json, write_if_changed


@dataclass(frozen=True, slots=True)
class Logged:
    """The rows that the history of a series' W&B run has, in a note beside the exports.

    Attributes:
        number: how many W&B runs the series had before, whose scores have changed since.
        steps: the digest of each row, by its step.
    """

    path: Path
    name: str
    number: int = 0
    steps: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, place: Path, package: Package) -> Logged:
        """Return what the note of a package has; an empty one if it cannot be read."""
        name = package.key
        path = place / f"wandb-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        found = cls(path, name)
        if not package.series:
            return found
        with contextlib.suppress(OSError, *DAMAGE):
            note = read_json(str(path)) or {}
            found = cls(path, name, int(note.get("number", 0)), dict(note.get("steps", {})))
        rows = _digests(package.steps)
        if any(rows.get(step, digest) != digest for step, digest in found.steps.items()):
            return cls(path, name, found.number + 1)
        return found

    @property
    def key(self) -> str:
        """The id of the W&B run."""
        name = f"{self.name} {self.number}" if self.number else self.name
        return hashlib.sha256(name.encode()).hexdigest()[:16]

    def write(self, steps: Sequence[Step]) -> None:
        """Note the rows that the history has now."""
        rows = {**self.steps, **_digests(steps)}
        write_if_changed(self.path, json.dumps({"number": self.number, "steps": rows}))


def _digests(steps: Sequence[Step]) -> dict[str, str]:
    return {step.step: digest([step.number, dict(step.scores)])[:16] for step in steps}
