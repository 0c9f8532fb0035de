"""The costs of a run by the prices of its configuration.

The ledger counts the tokens of all answers that a harness received, once each. An answer that was
requested again costs more than that at the provider, and so do tries without an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from snakeval.evaluation import requests
from snakeval.evaluation.amounts import CURRENCY, money_text
from snakeval.evaluation.directory import Incomplete
from snakeval.evaluation.requests import Counts
from snakeval.ledger import pricing
from snakeval.results.gpu_hours import served
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned


@dataclass(frozen=True, slots=True)
class Money:
    """A cost.

    Attributes:
        value: the known part; None if nothing is known.
        note: why a part is unknown, or nothing.
    """

    value: float | None
    currency: str = CURRENCY
    note: str = ""

    def __add__(self, other: Money) -> Money:
        known = [each for each in (self.value, other.value) if each is not None]
        notes = dict.fromkeys(filter(None, (self.note, other.note)))
        return Money(sum(known) if known else None, self.currency, "; ".join(notes))

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        return ("at least " if self.note else "") + money_text(self.value, self.currency)


class Costs:
    """The costs of a run's evaluations, models and of all of it. Empty without prices."""

    def __init__(self, run: RunDirectory, plan: Sequence[Planned]) -> None:
        mine = [item for item in plan if not (item.left_out or item.same_as)]  # each once
        self._run, self._plan = run, mine
        self.prices = run.prices()
        self.currency = next((str(p.get("currency", CURRENCY)) for p in self.prices.values()), "")
        self.gpu_hours = cache(self._gpu_hours)
        self.seconds = cache(self._seconds)

    def __bool__(self) -> bool:
        return bool(self.prices)

    def of(self, item: Planned) -> Money | None:
        """Return the cost of an evaluation; None if its model has no price.

        A finished one has a share of the cost of its model's servers, by its running time.
        """
        if item.model not in self.prices or item.same_as:
            return None
        found = self._of_requests(item)
        seconds = self.seconds(item.model)
        if item.id in seconds and (servers := self._of_servers(item.model)) is not None:
            total = sum(seconds.values())
            share = seconds[item.id] / total if total else 1 / len(seconds)
            part = None if servers.value is None else servers.value * share
            found += Money(part, self.currency, servers.note)
        return found

    def of_model(self, model: str) -> Money | None:
        """Return the cost of a model's evaluations and servers; None if it has no price."""
        if model not in self.prices:
            return None
        parts = [self._of_requests(item) for item in self._plan if item.model == model]
        servers = self._of_servers(model)
        return self._sum(parts if servers is None else [*parts, servers])

    def total(self) -> Money | None:
        """Return the cost of the run; None without prices."""
        models = dict.fromkeys(item.model for item in self._plan)
        found = [cost for name in models if (cost := self.of_model(name)) is not None]
        return self._sum(found) if found else None

    def _sum(self, parts: Iterable[Money]) -> Money:
        """Add up costs; nothing costs nothing, and only unknown ones are unknown together."""
        total = sum(parts, Money(None, self.currency))
        return replace(total, value=0.0) if total.value is None and not total.note else total

    def _of_requests(self, item: Planned) -> Money:
        """Return the cost of the requests of an evaluation, to its model and to judges."""
        directory = self._run.evaluation(item.id)
        counts = requests.read(directory)
        if not counts and directory.attempt_logs():
            return Money(None, self.currency, f"{item.id}: its requests were not counted")
        return self._sum(self._of_upstream(item, *one) for one in counts.items())

    def _of_upstream(self, item: Planned, model: str, each: Counts) -> Money:
        """Return the cost of the answers of one model, without those that another run paid."""
        price, each = self.prices.get(model), each.paid
        if price is None:
            return Money(None, self.currency, f"{model} has no price")
        if not each.answered or _is_free(price):
            return Money(0.0, self.currency)
        tokens = {
            "prompt": each.prompt_tokens,
            "completion": each.completion_tokens,
            "cached": each.cached_tokens,
        }
        note = ""
        if price.get("input") and each.prompt_tokens is None and not each.uncounted:
            note = f"{item.id}: the answers of {model} count no tokens of prompts"
        if each.uncounted or each.prompt_tokens is each.completion_tokens is None:
            lacking = each.uncounted or each.answered
            note = f"{item.id}: {lacking} of {each.answered} answers of {model} count no tokens"
        return Money(pricing.money(tokens, price), self.currency, note)

    def _of_servers(self, model: str) -> Money | None:
        """Return the cost of the GPUs that served a model; None if they have no price."""
        price = self.prices[model].get("hour")
        if price is None or not self._run.deployment_plan(model).exists():
            return None
        hours = self.gpu_hours(model)
        if hours is None:
            return Money(None, self.currency, f"the GPU-hours of {model} are unknown")
        return Money(hours * price, self.currency)

    def _gpu_hours(self, model: str) -> float | None:
        return served(self._run, model, done=bool(self.seconds(model)))[0]

    def _seconds(self, model: str) -> dict[str, float]:
        """Return the running time of each finished evaluation of a model."""
        if self.prices[model].get("hour") is None:
            return {}
        found = {}
        for item in self._plan:
            if item.model == model:
                done = self._run.evaluation(item.id).find_completion(item.fingerprint)
                if not isinstance(done, Incomplete):
                    found[item.id] = done.seconds
        return found


def _is_free(price: dict[str, Any]) -> bool:
    """Whether requests have no price of their own, as those to a server that costs by the hour."""
    return price.get("input") is None and price.get("output") is None
