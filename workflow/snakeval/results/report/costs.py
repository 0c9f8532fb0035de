"""Adds up the cost of each model of a run: samples, requests, tokens, time and GPU-hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from snakeval.evaluation import timings
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.results.comparison import Measured
from snakeval.results.gpu_hours import served
from snakeval.results.money import Costs, Money
from snakeval.results.report.counts import usage
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over evaluations; None without any count. ``partial``: some have no count."""

    value: float | None
    partial: bool = False

    @classmethod
    def of(cls, numbers: Iterable[float | None]) -> Total:
        """Add the known numbers."""
        given = list(numbers)
        known = [number for number in given if number is not None]
        return cls(sum(known) if known else None, len(known) < len(given))

    def __add__(self, other: Total) -> Total:
        known = [each.value for each in (self, other) if each.value is not None]
        partial = self.partial or other.partial or len(known) == 1
        return Total(sum(known) if known else None, partial)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a model's evaluations.

    Attributes:
        samples, requests, prompt_tokens, completion_tokens: of finished evaluations.
        seconds: the running time of harnesses, including failed and interrupted attempts. The
            times of simultaneous harnesses add up.
        unfinished: the part of ``seconds`` in failed and interrupted attempts.
        gpu_hours: the GPUs of the model's servers times the hours in which the servers held them,
            including loading and idle time; None if unknown, or without a deployment here.
        loads: how often a server of the model started; None in the same cases.
        deployed: whether snakeval deployed servers of the model.
        money: for the requests of its evaluations, also of unfinished ones, and for its servers;
            None without prices.
    """

    model: str
    done: int
    samples: Total
    requests: Total
    prompt_tokens: Total
    completion_tokens: Total
    seconds: Total
    unfinished: Total
    gpu_hours: float | None
    loads: int | None
    deployed: bool
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of all models together; ``gpu_hours`` is None if no server was deployed."""

    requests: Total
    tokens: Total
    seconds: Total
    unfinished: Total
    gpu_hours: Total | None


def spent(found: Sequence[Cost]) -> Spent:
    """Add up the costs of the models."""
    served_here = [cost.gpu_hours for cost in found if cost.deployed]
    return Spent(
        _added(cost.requests for cost in found),
        _added(cost.prompt_tokens + cost.completion_tokens for cost in found),
        _added(cost.seconds for cost in found),
        _added(cost.unfinished for cost in found),
        Total.of(served_here) if served_here else None,
    )


def _added(totals: Iterable[Total]) -> Total:
    first, *rest = [*totals] or [Total(None)]
    return reduce(Total.__add__, rest, first)


def costs(
    run: RunDirectory, plan: Sequence[Planned], everything: Sequence[Measured]
) -> Iterator[Cost]:
    """Yield the cost of each model in *plan*."""
    paid = Costs(run, plan)
    plan = [item for item in plan if not item.same_as]  # each evaluation once
    planned = {(item.model, item.benchmark) for item in plan}
    everything = [one for one in everything if (one.model, one.benchmark) in planned]
    for model in dict.fromkeys(item.model for item in plan):
        mine = [one for one in everything if one.model == model]
        counts = [usage(one) for one in mine]
        finished = {one.benchmark: one.record for one in mine}
        unfinished = Total.of(
            _unfinished(run.evaluation(item.id), finished.get(item.benchmark))
            for item in plan
            if item.model == model
        )
        seconds = sum(record.seconds for record in finished.values())
        deployed = run.deployment_plan(model).exists()
        gpu_hours, loads = served(run, model, done=bool(mine)) if deployed else (None, None)
        yield Cost(
            model,
            len(mine),
            Total.of(_size(one) for one in mine),
            Total.of(each.requests for each in counts),
            Total.of(each.prompt_tokens for each in counts),
            Total.of(each.completion_tokens for each in counts),
            Total(seconds + (unfinished.value or 0.0), unfinished.partial),
            unfinished,
            gpu_hours,
            loads,
            deployed,
            paid.of_model(model),
        )


def _unfinished(directory: EvaluationDirectory, record: Completion | None) -> float | None:
    """Return the seconds of all attempts at an evaluation that did not finish it."""
    uses = timings.read(directory)
    if uses is None:  # there are none, or an older version did not record them
        attempts = record.attempt - 1 if record else len(directory.attempt_logs())
        return None if attempts else 0.0
    return max(0.0, sum(each.seconds for each in uses) - (record.seconds if record else 0.0))


def _size(one: Measured) -> int | None:
    """Return the number of an evaluation's samples, if it is known."""
    if one.metric.n is not None or one.scores is None:
        return one.metric.n
    return int(one.scores.values.size)
