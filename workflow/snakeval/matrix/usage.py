"""Requests and tokens of evaluations, learned from every finished run, to predict the next one.

Kept in ``$SNAKEVAL_HOME/usage.json``: digest of a benchmark's definition, without its number of
samples -> model -> what its last evaluation used. A hint only; nothing depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.evaluation.amounts import amount_text, currency_of, money_text
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.evaluation.requests import Counts
from snakeval.files import DAMAGE, home, read_json, write_if_changed
from snakeval.ledger import pricing


@dataclass(frozen=True, slots=True)
class Usage:
    """The requests and tokens of one model; None for what no answer counts."""

    requests: float
    prompt: float | None
    completion: float | None
    cached: float | None = None

    def times(self, factor: float) -> Usage:
        """Return it for another number of samples."""

        def scaled(tokens: float | None) -> float | None:
            return None if tokens is None else tokens * factor

        tokens = map(scaled, (self.prompt, self.completion, self.cached))
        return Usage(self.requests * factor, *tokens)


class Usages:
    """The requests and tokens of evaluations, by benchmark and model."""

    def __init__(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        self._known = {key: dict(models) for key, models in known.items()}

    @classmethod
    def load(cls) -> Usages:
        """Read what is known; nothing if the file is absent or damaged."""
        try:
            return cls(read_json(str(_path())) or {})
        except (OSError, *DAMAGE):
            return cls({})

    def save(self) -> None:
        """Write it for the next run."""
        write_if_changed(_path(), json.dumps(self._known, sort_keys=True))

    def learn(
        self,
        evaluation: Evaluation,
        finished: str,
        samples: int | None,
        counts: Callable[[], Mapping[str, Counts]],
    ) -> None:
        """Record what a finished evaluation used; *counts* are read only if it is not known."""
        models = self._known.setdefault(_key(evaluation), {})
        name = evaluation.identity.model_id
        known = models.get(name)
        if isinstance(known, dict) and known.get("finished") == finished:
            return
        if not (found := counts()):
            return
        used = {
            "" if model == evaluation.model else model: asdict(
                Usage(each.requests, each.prompt_tokens, each.completion_tokens, each.cached_tokens)
            )
            for model, each in found.items()
        }
        limit = evaluation.identity.params.get("limit_samples")
        models[name] = {"finished": finished, "samples": samples, "limit": limit, "models": used}

    def expect(self, evaluation: Evaluation) -> dict[str, Usage] | None:
        """Return what each model that *evaluation* asks will use; None if that is unknown.

        A model whose stored answers are scored again is not asked, and uses nothing.
        It is what the same benchmark used before, on this model or else on another one.
        """
        models = self._known.get(_key(evaluation)) or {}
        try:
            entry = models.get(evaluation.identity.model_id) or next(iter(models.values()))
            factor = _factor(evaluation, entry)
            if factor is None:
                return None
            uses = {name or evaluation.model: use for name, use in entry["models"].items()}
            asks = evaluation.transport.asks
            return {n: Usage(**use).times(factor) for n, use in uses.items() if asks(n)}
        except (StopIteration, *DAMAGE):
            return None


def _factor(evaluation: Evaluation, entry: Mapping[str, Any]) -> float | None:
    """Return how many times as many samples *evaluation* has; None if that is unknown."""
    params, known = evaluation.identity.params, entry["samples"]
    limit = params.get("limit_samples")
    if limit == entry["limit"]:
        return 1.0
    size = catalogue.samples(params.get("task") or evaluation.identity.task)
    size = size or (known if entry["limit"] is None else None)
    wanted = min(filter(None, (limit, size)), default=None)
    return wanted / known if wanted and known else None


def predicted(evaluations: Iterable[Evaluation], usages: Usages) -> str:
    """Return a line with what *evaluations* will use and cost, as far as earlier runs know it."""
    found = [(each, usages.expect(each)) for each in evaluations]
    known = [(each, used) for each, used in found if used is not None]
    if not known:
        return "Predicted: unknown, since no earlier run of these benchmarks has counts"
    used = [use for _, models in known for use in models.values()]
    requests = sum(use.requests for use in used)
    tokens = [n for use in used for n in (use.prompt, use.completion) if n is not None]
    parts = [f"about {amount_text('tokens', round(sum(tokens)))}" if tokens else "unknown tokens"]
    parts.append(amount_text("requests", round(requests)))
    parts += _money(known)
    lacking = len(found) - len(known)
    more = f"; unknown for {lacking} of {len(found)} evaluations" if lacking else ""
    return f"Predicted: {', '.join(parts)}{more}"


def _money(known: Iterable[tuple[Evaluation, Mapping[str, Usage]]]) -> list[str]:
    """Return what the tokens cost, and whether servers cost more."""
    costs, texts, prices = [], [], []
    for evaluation, models in known:
        for name, use in models.items():
            if (price := evaluation.transport.prices.get(name)) is not None:
                prices.append(price)
                counted = {"prompt": use.prompt, "completion": use.completion, "cached": use.cached}
                costs.append(pricing.money(counted, price))
    paid = [cost for cost in costs if cost is not None]
    if paid:
        texts.append(money_text(sum(paid), currency_of(prices)))
    if any(price.get("hour") is not None for price in prices):
        texts.append("and servers by the hour")
    return texts if texts or not prices else ["an unknown cost"]


def _path() -> Path:
    return home() / "usage.json"


def _key(evaluation: Evaluation) -> str:
    identity = evaluation.identity
    params = {n: value for n, value in identity.params.items() if n != "limit_samples"}
    judges = sorted(identity.auxiliary)
    return digest([identity.harness, identity.task, params, judges, identity.command])[:16]
