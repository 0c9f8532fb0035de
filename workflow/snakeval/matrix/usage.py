"""Requests and tokens of evaluations, learned from every finished run, to predict the next one.

Kept in ``$SNAKEVAL_HOME/usage.json``: digest of a benchmark's definition, without its number of
samples -> model -> what its last evaluation used. A hint only; nothing depends on it.

A run of few samples is a sample of all requests. The first requests of an interrupted evaluation
are a sample also, if its harness reported how many there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snakeval import catalogue
from snakeval.evaluation import progress, requests
from snakeval.evaluation.amounts import amount_text, currency_of, money_text
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.evaluation.directory import EvaluationDirectory
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

    @classmethod
    def of(cls, counts: Counts) -> Usage:
        """Return what the requests of an evaluation used."""
        tokens = (counts.prompt_tokens, counts.completion_tokens, counts.cached_tokens)
        return cls(counts.requests, *tokens)

    def less(self, used: Usage | None) -> Usage:
        """Return what is left of it when *used* is done."""

        def left(whole: float | None, part: float | None) -> float | None:
            return None if whole is None else max(0.0, whole - (part or 0))

        if used is None:
            return self
        names = ("prompt", "completion", "cached")
        tokens = [left(getattr(self, name), getattr(used, name)) for name in names]
        return Usage(max(0.0, self.requests - used.requests), *tokens)

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
            "" if model == evaluation.model else model: asdict(Usage.of(each))
            for model, each in found.items()
        }
        limit = evaluation.identity.params.get("limit_samples")
        models[name] = {"finished": finished, "samples": samples, "limit": limit, "models": used}

    def expect(self, evaluation: Evaluation) -> dict[str, Usage] | None:
        """Return what each model that *evaluation* asks will use; None if that is unknown.

        A model whose stored answers are scored again is not asked, and uses nothing.
        It is what the same benchmark used before, on this model or else on another one.
        """
        return self._scaled(evaluation, _factor)

    def of_a_sample(self, evaluation: Evaluation) -> dict[str, Usage] | None:
        """Return what each model uses for one sample; None if that is unknown."""
        return self._scaled(evaluation, lambda _, entry: 1 / entry["samples"])

    def _scaled(
        self,
        evaluation: Evaluation,
        factor_of: Callable[[Evaluation, Mapping[str, Any]], float | None],
    ) -> dict[str, Usage] | None:
        models = self._known.get(_key(evaluation)) or {}
        try:
            entry = models.get(evaluation.identity.model_id) or next(iter(models.values()))
            factor = factor_of(evaluation, entry)
            if factor is None:
                return None
            uses = {name or evaluation.model: use for name, use in entry["models"].items()}
            asks = evaluation.transport.asks
            return {n: Usage(**use).times(factor) for n, use in uses.items() if asks(n)}
        except (StopIteration, *DAMAGE):
            return None


@dataclass(frozen=True, slots=True)
class Begun:
    """The first requests of an evaluation that was interrupted.

    Attributes:
        used: what each model used for them, by name.
        share: of all requests of the evaluation; None if unknown.
    """

    used: Mapping[str, Usage]
    share: float | None = None

    @classmethod
    def of(cls, evaluation: Evaluation, directory: EvaluationDirectory) -> Begun | None:
        """Return what the newest attempt used; None if there is none of this definition."""
        try:
            if directory.attempted != evaluation.fingerprint:
                return None
        except OSError:
            return None
        used = {
            name: replace(Usage.of(each), requests=each.answered)
            for name, each in requests.read(directory).items()
        }
        if not used:
            return None
        done, total = progress.requests(directory) or (0, None)
        return cls(used, done / total if total and done else None)

    @property
    def whole(self) -> dict[str, Usage] | None:
        """The use of the whole evaluation; None if unknown."""
        if self.share is None:
            return None
        return {name: use.times(1 / self.share) for name, use in self.used.items()}


def _factor(evaluation: Evaluation, entry: Mapping[str, Any]) -> float | None:
    """Return how many times as many samples *evaluation* has; None if that is unknown."""
    params, known = evaluation.identity.params, entry["samples"]
    limit = params.get("limit_samples")
    if limit == entry["limit"]:
        return 1.0
    size = catalogue.samples(params.get("task") or evaluation.identity.task)
    size = size or (known if entry["limit"] is None else None)
    if size is None and known and entry["limit"] and known < entry["limit"]:
        size = known  # the benchmark has no more samples than that
    wanted = min(filter(None, (limit, size)), default=None)
    return wanted / known if wanted and known else None


def predicted(
    evaluations: Iterable[Evaluation],
    usages: Usages,
    begun: Mapping[str, Begun] = MappingProxyType({}),
) -> str:
    """Return a line with what *evaluations* will use and cost, as far as that is known.

    *begun* has the first requests of those that were interrupted, by id. Their rest counts.
    """
    known, samples, lacking, first = [], [], 0, 0
    for each in evaluations:
        start, used = begun.get(each.id), usages.expect(each)
        if start is not None and start.whole is not None:
            used, first = start.whole, first + 1
        if used is not None:
            done = start.used if start is not None else {}
            known.append((each, {name: use.less(done.get(name)) for name, use in used.items()}))
            continue
        lacking += 1
        if (one := usages.of_a_sample(each)) is not None:
            samples.append((each, one))
    total = len(known) + lacking
    notes = [f"{first} of {total} by first requests"] * bool(first)
    notes += [f"{each.id}: {_amounts([(each, one)])} for each sample" for each, one in samples]
    if not known:
        why = "no earlier run of these benchmarks has counts; a run with --limit 10 is a sample"
        if samples:
            why = "the number of samples is unknown"
        return "; ".join([f"Predicted: unknown, since {why}", *notes])
    notes += [f"unknown for {lacking} of {total} evaluations"] * bool(lacking)
    return "; ".join([f"Predicted: {_amounts(known)}", *notes])


def _amounts(known: Sequence[tuple[Evaluation, Mapping[str, Usage]]]) -> str:
    """Return tokens, requests and money in words."""
    used = [use for _, models in known for use in models.values()]
    tokens = [n for use in used for n in (use.prompt, use.completion) if n is not None]
    parts = [f"about {amount_text('tokens', round(sum(tokens)))}" if tokens else "unknown tokens"]
    parts.append(amount_text("requests", round(sum(use.requests for use in used))))
    return ", ".join([*parts, *_money(known)])


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
