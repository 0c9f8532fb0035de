"""Spreads the evaluations of deployed models over allocations, and keeps the result in a file.

The head packs; the jobs on other hosts read what the head packed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.execution import PACKING, Slurm
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.evaluation.plain import build
from snakeval.files import DAMAGE, read_json, write_if_changed
from snakeval.matrix.durations import Durations
from snakeval.serving.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Packed:
    """How the evaluations of one deployed model are spread.

    Attributes:
        rule: a digest of the limits and members that the packing follows.
        numbers: evaluation id -> number of its allocation.
        seconds: allocation -> its expected duration.
        gpus: the GPUs of each allocation.
    """

    rule: str
    numbers: Mapping[str, int]
    seconds: Mapping[int, float] = field(default_factory=dict)
    gpus: int = 0


def is_packed(slurm: Slurm) -> bool:
    """Whether the configuration limits the allocations of a model at all."""
    return any(getattr(slurm, key) for key in PACKING)


@dataclass(frozen=True, slots=True)
class Packer:
    """Packs one model after the other.

    Attributes:
        slots: how many evaluations run side by side in an allocation.
        missing: whether an evaluation still has to run.
        busy: whether jobs of an earlier head still run. Their allocations must not change.
    """

    slots: int
    durations: Durations
    missing: Callable[[Evaluation], bool]
    busy: Callable[[], bool]

    def pack(
        self,
        slurm: Slurm,
        deployment: Deployment,
        members: Sequence[Evaluation],
        gpus: int,
        before: Packed | None,
    ) -> Packed:
        """Return the packing of *members*; *before* is the packing of an earlier start."""
        # The solver is imported late: most runs pack nothing, and every job imports this module.
        from snakeval.matrix.packing import Limits, pack, total_seconds

        minutes = slurm.max_walltime_per_allocation or slurm.walltime
        limits = Limits(
            seconds=60 * minutes if minutes else math.inf,
            slots=self.slots,
            evaluations=slurm.evaluations_per_allocation,
            allocations=slurm.allocations_per_model,
        )
        rule = digest([str(limits), sorted(evaluation.id for evaluation in members)])[:16]
        if before is not None and before.rule == rule and self.busy():
            return before
        todo = [evaluation for evaluation in members if self.missing(evaluation)]
        expected = [self.durations.guess(evaluation) for evaluation in todo]
        loading = self.durations.loading(deployment)
        allocations = pack(expected, loading, limits)
        numbers = {
            todo[item].id: place
            for place, allocation in enumerate(allocations, start=1)
            for item in allocation.members
        }
        seconds = {
            place: total_seconds([allocation], expected, loading)
            for place, allocation in enumerate(allocations, start=1)
        }
        return Packed(rule, numbers, seconds, gpus)


def read(path: Path) -> dict[str, Packed]:
    """Read the packing of each model; nothing if there is none or the file is damaged."""
    try:
        return {name: _packed(packed) for name, packed in (read_json(str(path)) or {}).items()}
    except (OSError, *DAMAGE):
        return {}  # the first start, or a file that this start writes again


def _packed(data: Mapping[str, Any]) -> Packed:
    seconds = {int(number): seconds for number, seconds in data["seconds"].items()}
    return build(Packed, {**data, "seconds": seconds})


def write(path: Path, every: Mapping[str, Packed]) -> None:
    """Write the packing of each model."""
    data = {
        name: {
            "rule": packed.rule,
            "numbers": dict(packed.numbers),
            "seconds": {str(n): round(s, 1) for n, s in packed.seconds.items()},
            "gpus": packed.gpus,
        }
        for name, packed in every.items()
    }
    write_if_changed(path, json.dumps(data, indent=1))
