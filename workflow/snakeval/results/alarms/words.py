"""Words alarms: the message of each kind, as JSON with a ``text``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from snakeval.evaluation.duration_text import duration_text
from snakeval.ledger.plain_text import visible
from snakeval.results.alarms.decide import Spot
from snakeval.results.curves.points import Curve, Figure, Place
from snakeval.results.readable import score_text
from snakeval.results.statistics.drops import FALSE_ALARMS, Drop

#: A smaller chance is not worth its digits.
_SMALLEST = 1e-9


def of_drop(run: str, figure: Figure, curve: Curve, spot: Spot, drop: Drop) -> dict[str, Any]:
    """Return the message of a drop."""
    mean = math.fsum(each.value for each in drop.best) / len(drop.best)
    best = ", ".join(f"{each.name} {score_text(each.value)}" for each in drop.best)
    many = f"the best {len(drop.best)} before it" if len(drop.best) > 1 else "the best before it"
    what = "samples compared one by one" if drop.paired else "intervals compared"
    sentences = [
        f"{spot.point.model} dropped on {figure.benchmark}: {figure.title} is "
        f"{score_text(spot.value)}, and {score_text(mean)} is the mean of {many} ({best}).",
        f"The drop is {score_text(drop.value)}.",
        f"Checkpoints of equal quality differ this much with a chance of {chance(drop.p)} "
        f"({what}; the limit is {chance(drop.level)}, so that at most "
        f"{100 * FALSE_ALARMS:.0f} % of curves without a drop alarm).",
        _detects(drop, spot.point.n),
        f"Next: {_command(run, figure.benchmark, curve.name)}",
    ]
    return {
        "text": visible(" ".join(filter(None, sentences)), ""),
        **_about(run, "drop", figure, curve, spot),
        "drop": drop.value,
        "mean_of_best": mean,
        "best": [{"model": each.name, "value": each.value} for each in drop.best],
        "p": drop.p,
        "level": drop.level,
        "detectable": drop.detectable,
        "paired": drop.paired,
    }


def _detects(drop: Drop, n: int | None) -> str:
    if drop.detectable is None:
        return ""
    samples = f" with {n:,} samples" if n else ""
    return (
        f"This benchmark{samples} shows a drop of {score_text(drop.detectable)} or more at this "
        "limit, in 4 of 5 cases."
    )


def of_unseen(run: str, figure: Figure, curve: Curve, spot: Spot) -> dict[str, Any]:
    """Return the message that no drop of a curve can be seen."""
    text = (
        f"{figure.benchmark} cannot alarm for a drop of {curve.name}: {figure.title} has neither "
        "samples nor an interval, so every drop may be chance. "
        f"Next: log samples (`metrics.samples`), or remove `drop` from the alert of "
        f"{figure.benchmark}"
    )
    return {"text": visible(text, ""), **_about(run, "unseen", figure, curve, spot)}


def of_reached(
    run: str, figure: Figure, curve: Curve, spot: Spot, threshold: float
) -> dict[str, Any]:
    """Return the message of a threshold that was reached."""
    low, high = spot.point.low, spot.point.high
    known = low is not None and high is not None
    interval = f" (95 %: {score_text(low)} – {score_text(high)})" if known else ""
    text = (
        f"{spot.point.model} reached {score_text(threshold)} on {figure.benchmark}: "
        f"{figure.title} is {score_text(spot.value)}{interval}. "
        f"Next: {_command(run, figure.benchmark, curve.name)}"
    )
    about = _about(run, "reached", figure, curve, spot)
    return {"text": visible(text, ""), **about, "threshold": threshold, "low": low, "high": high}


def of_failure(run: str, row: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """Return the message of an evaluation that failed, whose row of the table is *row*."""
    model, benchmark = row["model"], row["benchmark"]
    reason = row.get("reason") or "the reason is not known"
    text = f"{model} failed on {benchmark}: {reason}. Next: snakeval logs {run}/{model}/{benchmark}"
    found = {"text": visible(text, ""), "kind": "failure", "run": run, "benchmark": benchmark}
    found |= {"model": model, "reason": row.get("reason")}
    return found | ({"series": place.series, "step": place.step} if place else {})


def of_silence(run: str, series: str, last: str, seconds: float) -> dict[str, Any]:
    """Return the message that a series has no new checkpoint after the model *last*."""
    newest = f"; {last} is the newest" if last else ""
    text = (
        f"{series} has had no new checkpoint for {duration_text(seconds)}{newest}. "
        f"Next: look at the training, and at `snakeval status {run}`"
    )
    found = {"text": visible(text, ""), "kind": "no_checkpoint", "run": run, "series": series}
    return found | {"newest": last, "seconds": round(seconds)}


def chance(p: float | None) -> str:
    """Return a probability in words.

    >>> chance(0.04), chance(3.2e-7), chance(0.0), chance(0.6)
    ('1 in 25', '1 in 3,100,000', 'less than 1 in 1,000,000,000', '60 %')
    """
    if p is None:
        return "an unknown size"
    if p < _SMALLEST:
        return f"less than 1 in {1 / _SMALLEST:,.0f}"
    if p > 0.2:
        return f"{p:.0%}".replace("%", " %")
    return f"1 in {float(f'{1 / p:.2g}'):,.0f}"


def _about(run: str, kind: str, figure: Figure, curve: Curve, spot: Spot) -> dict[str, Any]:
    return {
        "kind": kind,
        "run": run,
        "curve": curve.name,
        "benchmark": figure.benchmark,
        "task": figure.task,
        "metric": figure.metric,
        "filter": figure.filter,
        "model": spot.point.model,
        "step": spot.point.step,
        "fingerprint": spot.fingerprint,
        "value": spot.value,
        "n": spot.point.n,
    }


def _command(run: str, benchmark: str, curve: str) -> str:
    return f"`snakeval curve {run}/{curve.partition(' ')[0]} -t {benchmark}`"
