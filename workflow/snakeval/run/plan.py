"""The nouns of a run's plan.

:meth:`snakeval.run.directory.RunDirectory.plan` reads them, and a start writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluation of the plan, or a pair that was left out of it with a reason."""

    model: str
    benchmark: str
    fingerprint: str = ""
    left_out: str = ""

    @property
    def id(self) -> str:
        """``model/benchmark``: unique in a run."""
        return f"{self.model}/{self.benchmark}"


def plan_text(planned: Iterable[Planned]) -> str:
    """Return a plan as its file has it."""
    return json.dumps([[p.model, p.benchmark, p.fingerprint, p.left_out] for p in planned])


def read_plan(text: str) -> tuple[Planned, ...]:
    """Return the plan in the text of its file.

    Raises:
        ValueError, TypeError: the text is damaged.
    """
    plan = tuple(Planned(*row) for row in json.loads(text))
    if not all(isinstance(part, str) for p in plan for part in (p.model, p.benchmark)):
        raise ValueError("a plan's names are texts")
    return plan
