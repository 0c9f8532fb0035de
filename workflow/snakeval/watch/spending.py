"""Shows how much of a run's budget is spent."""

from __future__ import annotations

from typing import Any, NamedTuple

from snakeval.run.directory import RunDirectory

# A run without a budget needs none of the modules that the functions import.


class Part(NamedTuple):
    """One kind of the budget. Gateways that run may have spent a slice more than ``spent``."""

    kind: str
    spent: float
    limit: float
    currency: str

    def __str__(self) -> str:
        from snakeval.evaluation.amounts import amount_text
        from snakeval.ledger.budget import MONEY

        spent, limit = (amount_text(self.kind, n, self.currency) for n in (self.spent, self.limit))
        if self.kind not in (MONEY, "wall"):
            spent = spent.rpartition(" ")[0]  # 40 of 100 tokens
        return f"{spent} of {limit} ({self.spent / self.limit:.0%})".replace("%", " %")


def spending(run: RunDirectory) -> list[Part]:
    """Return what all gateways of the run spent of each kind that its last command limits."""
    if not (limits := run.limits()):
        return []
    from snakeval.evaluation.amounts import currency_of
    from snakeval.ledger.budget import MONEY, BudgetFile

    file = BudgetFile(run.budget, limits)
    try:
        file.refresh()
    except OSError:
        return []
    currency = currency_of(run.prices().values()) if MONEY in limits else ""
    return [Part(kind, file.spent(kind), limit, currency) for kind, limit in limits.items()]


def as_data(parts: list[Part]) -> dict[str, Any]:
    """Return it for programs."""
    return {each.kind: {"spent": each.spent, "limit": each.limit} for each in parts}
