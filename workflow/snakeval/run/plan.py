"""What a run is made of, as its start saved it: for whoever looks at the run at any time.

It imports nothing heavy: the command reads it before it prints a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.files import write_if_changed


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluation of the plan, or a pair that was left out of it with a reason."""

    model: str
    benchmark: str
    fingerprint: str = ""
    left_out: str = ""


def write_plan(path: Path, planned: Sequence[Planned]) -> None:
    """Save what a run is made of, so that its table can be made at any time."""
    rows = [[p.model, p.benchmark, p.fingerprint, p.left_out] for p in planned]
    write_if_changed(path, json.dumps(rows))


def read_plan(path: Path) -> tuple[Planned, ...]:
    """Read what :func:`write_plan` wrote."""
    return tuple(Planned(*row) for row in json.loads(path.read_text(encoding="utf-8")))
