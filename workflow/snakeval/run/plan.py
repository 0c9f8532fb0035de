"""The nouns of a run's plan.

:meth:`snakeval.run.directory.RunDirectory.plan` reads them, and a start writes them.
"""

from __future__ import annotations

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
