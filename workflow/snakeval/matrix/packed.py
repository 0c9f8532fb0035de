"""How the evaluations of a deployed model are spread over allocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Packed:
    """How the evaluations of one deployed model are spread.

    Attributes:
        rule: a digest of what they were packed by.
        numbers: evaluation id -> number of its allocation.
        seconds: allocation -> how long it is expected to last.
        gpus: of each allocation.
    """

    rule: str
    numbers: Mapping[str, int]
    seconds: Mapping[int, float] = field(default_factory=dict)
    gpus: int = 0
