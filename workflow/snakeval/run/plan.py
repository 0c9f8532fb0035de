"""The nouns of a run's plan.

:meth:`snakeval.run.directory.RunDirectory.plan` reads them, and a start writes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

from snakeval.files import json_value
from snakeval.ledger.plain_text import visible


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluation of the plan, or a pair that was left out of it with a reason.

    Attributes:
        same_as: the model whose evaluation has the result, since the weights of both are equal.
    """

    model: str
    benchmark: str
    fingerprint: str = ""
    left_out: str = ""
    same_as: str = ""

    @property
    def id(self) -> str:
        """``model/benchmark``: unique in a run."""
        return f"{self.model}/{self.benchmark}"

    @property
    def source(self) -> str:
        """``model/benchmark`` of the evaluation that has the result."""
        return f"{self.same_as or self.model}/{self.benchmark}"


#: A model and a benchmark.
_FEWEST = 2


def plan_text(planned: Iterable[Planned]) -> str:
    """Return a plan as its file has it."""
    return json.dumps(
        [
            [p.model, p.benchmark, p.fingerprint, p.left_out, *([p.same_as] if p.same_as else [])]
            for p in planned
        ]
    )


def read_plan(text: str) -> tuple[Planned, ...]:
    """Return the plan in the text of its file.

    Raises:
        ValueError, TypeError: the text is damaged.
    """
    rows = json_value(text)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError("a plan is a list of lists")
    if not all(_FEWEST <= len(row) <= len(Planned.__slots__) for row in rows):
        raise ValueError("a plan of another version")
    "".join(map("".join, rows)).encode()  # of texts only, and without half a surrogate
    plan = tuple(Planned(*row) for row in rows)
    models = {item.model for item in plan} | {item.same_as for item in plan if item.same_as}
    if not all(map(_is_name, models | {item.benchmark for item in plan})):
        raise ValueError("a name in a plan is no name of a directory")
    return plan


def _is_name(text: str) -> bool:
    # Half a surrogate also raises a ValueError. Tables and reports find an evaluation by the name
    # that `visible` shows.
    unnamed = os.fsencode(text) in (b"", b".", b"..")
    return not unnamed and "/" not in text and visible(text, plain="") == text
