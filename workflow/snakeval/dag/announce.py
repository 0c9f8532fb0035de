"""Sentences for the person who plans or starts a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from snakeval.config.member_names import series_of
from snakeval.dag.invocation import Invocation
from snakeval.dag.reruns import Reruns
from snakeval.evaluation.amounts import amount_text, option_text
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.duration_text import estimate_text
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.facts import NOT_HASHED
from snakeval.matrix.usage import Begun, Usages, predicted
from snakeval.run.directory import RunDirectory
from snakeval.watch.spending import spending

#: How many lines of a kind are printed at most.
_MOST = 20
#: How many evaluations of an allocation are listed at most.
_MOST_MEMBERS = 12


def notes(invocation: Invocation, reruns: Reruns, allocations: Allocations) -> list[str]:
    """Describe the run, what it leaves out, how it is packed, and which definitions changed."""
    run = invocation.run
    state = "continues" if run.exists else "new"
    many = f"{len(invocation.selected)} evaluation" + "s" * (len(invocation.selected) != 1)
    lines = [f"Run {run.id} ({state}): {many} in {invocation.directory}"]
    lines += again(invocation)
    if invocation.lenders:
        names = " and ".join(RunDirectory(path).id or path for path in invocation.lenders)
        lines.append(f"Answers of run {names} come first; `--config answers=none` ends this")
    reasons = Counter(item.reason for item in invocation.left_out)
    lines += [f"Left out: {reason}" for reason in list(reasons)[:_MOST]]
    if len(reasons) > _MOST:
        lines.append(
            f"Left out: {len(reasons) - _MOST} more pairs, as {run.directory.table.name} lists"
        )
    lines += checkpoints(invocation)
    lines += unknown(invocation)
    lines += packing(allocations)
    lines += prediction(invocation, reruns)
    lines += dropped_budget(invocation, reruns)
    lines += undeliverable(invocation)
    lines += [f"Changed: {e.id} ({reruns.why_stale(e)})" for e in reruns.changed[:_MOST]]
    return lines


def again(invocation: Invocation) -> list[str]:
    """Describe whose answers a re-score uses, whom it asks, and what it defines differently."""
    if (rescoring := invocation.rescoring) is None:
        return []
    asked = "the models are asked only for answers that it lacks" if rescoring.ask else ""
    if rescoring.judges:
        asked = ", ".join(filter(None, (f"{' and '.join(rescoring.judges)} judges again", asked)))
    lines = [f"Re-scores the answers of run {rescoring.run.id}: {asked or 'no model is asked'}"]
    for evaluation in list(invocation.selected.values())[:_MOST]:
        if changes := rescoring.changes(evaluation):
            lines.append(f"Differs: {evaluation.id} ({'; '.join(changes[:3])})")
    return lines


def checkpoints(invocation: Invocation) -> list[str]:
    """Describe which checkpoints have the results of others, or are left out since they changed."""
    found = invocation.checkpoints
    lines = [f"Left out: {item}" for item in found.left_out[:_MOST]]
    if len(found.left_out) > _MOST:
        lines.append(f"Left out: {len(found.left_out) - _MOST} more checkpoints")
    missed = [n for n in found.gone if n not in {item.model for item in found.left_out}]
    if missed:
        lines.append(f"Gone: {_listed(missed)}; finished results stay")
    if found.same_as:
        equal = [f"{name} = {other}" for name, other in found.same_as.items()]
        lines.append(f"Equal weights, evaluated once: {_listed(equal)}")
    return lines


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_MEMBERS
    return ", ".join(names[:_MOST_MEMBERS]) + (f" and {more} more" if more > 0 else "")


def unknown(invocation: Invocation) -> list[str]:
    """Describe what the definitions stand on without a digest."""
    facts = invocation.facts
    lines = [
        f"Weights of {name}: {NOT_HASHED}; a start hashes {checkpoint}"
        for name, checkpoint in facts.unhashed.items()
        if not series_of(name)
    ]
    series = Counter(filter(None, map(series_of, facts.unhashed)))
    lines += [
        f"Weights of {name}: {many} checkpoint{'s' * (many > 1)} {NOT_HASHED}; a start hashes them"
        for name, many in series.items()
    ]
    if facts.starts:
        # Harnesses and servers may have the same image, with a pin each.
        said = [
            f"Pinned by name only: {pin.name} ({pin.why})"
            for pin in facts.new_pins.values()
            if not pin.digest
        ]
        lines += list(dict.fromkeys(said))[:_MOST]
    return lines


def prediction(invocation: Invocation, reruns: Reruns) -> list[str]:
    """Predict what the evaluations to do will use, if they have prices or a budget."""
    chosen = [each for each in invocation.selected.values() if _asks(each)]
    if not any(each.transport.prices or each.transport.budget for each in chosen):
        return []
    to_do = [each for each in chosen if reruns.is_missing(each)]
    started = {each.id: Begun.of(each, invocation.directory.evaluation(each.id)) for each in to_do}
    begun = {name: one for name, one in started.items() if one is not None}
    return [predicted(to_do, Usages.load(), begun)] if to_do else []


def dropped_budget(invocation: Invocation, reruns: Reruns) -> list[str]:
    """Report the kinds of the run's former budget that this command does not limit."""
    if not any(_asks(each) and reruns.is_missing(each) for each in invocation.selected.values()):
        return []
    budget = invocation.config.budget
    kept = budget.limits if budget else {}
    parts = [part for part in spending(invocation.directory) if part.kind not in kept]
    if not parts:
        return []
    limits = " and ".join(amount_text(part.kind, part.limit, part.currency) for part in parts)
    option = " ".join(f"--budget {option_text(part.kind, part.limit)}" for part in parts)
    return [f"Budget: this command drops the run's limit of {limits}; keep it with {option}"]


def undeliverable(invocation: Invocation, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Name the variables of webhooks that are not set. Alarms then wait, and end no run."""
    config = invocation.config
    names = {config.base(evaluation.benchmark) for evaluation in invocation.selected.values()}
    lacking = {
        alert.webhook: name
        for name in sorted(names, reverse=True)
        if (alert := config.benchmarks[name].alert) and alert.webhook
        if not environment.get(alert.webhook)
    }
    return [
        f"Alarms: ${variable} is not set (benchmarks.{name}.alert.webhook); "
        "alarms wait until a command has it"
        for variable, name in sorted(lacking.items())
    ]


def _asks(evaluation: Evaluation) -> bool:
    """Whether requests may reach a model; else the journals alone answer."""
    return any(map(evaluation.transport.asks, (evaluation.model, *evaluation.identity.auxiliary)))


def packing(allocations: Allocations) -> list[str]:
    """Describe how the evaluations of deployed models are packed, and for how long."""
    lines = []
    for name, packed in allocations.packed.items():
        if not packed.seconds:
            continue
        hours = sum(packed.seconds.values()) / 3600
        what = "allocation" if len(packed.seconds) == 1 else "allocations"
        total = f"{len(packed.seconds)} {what}, {estimate_text(3600 * hours)}"
        if packed.gpus:
            total += f" and {hours * packed.gpus:.1f} GPU-hours"
        lines.append(f"Allocations: {name} in {total}")
        for number, seconds in sorted(packed.seconds.items())[:_MOST]:
            members = [id for id, own in packed.numbers.items() if own == number]
            group = allocations.group_of(name, number)
            names = ", ".join(_members(members, name))
            lines.append(f"  {group}: {estimate_text(seconds)}: {names}")
    return lines


def _members(ids: Collection[str], model: str) -> list[str]:
    """List evaluations of a model without its name, and count those beyond the limit."""
    names = [id.removeprefix(f"{model}/") for id in ids]
    if len(names) <= _MOST_MEMBERS:
        return names
    return [*names[:_MOST_MEMBERS], f"{len(names) - _MOST_MEMBERS} more"]
