"""Reads from a run what its curves show: the table, and the place of each checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from snakeval.config.checkpoints import Member
from snakeval.config.member_names import name_of, series_of, step_of
from snakeval.errors import EvaluationError
from snakeval.evaluation.record import headline
from snakeval.results import table
from snakeval.results.curves.points import FAILED, Key, Place, Source
from snakeval.results.scores import current_metrics
from snakeval.run.checkpoints import Seen
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

if TYPE_CHECKING:
    import pandas as pd


def has_series(run: RunDirectory, plan: Sequence[Planned]) -> bool:
    """Whether some models of the *plan* of a run, or of an earlier one, are checkpoints."""
    return any(series_of(item.model) for item in plan) or any(map(series_of, run.fingerprints()))


def source(
    run: RunDirectory,
    name: str = "",
    *,
    frame: pd.DataFrame | None = None,
    covers: Callable[[str, str], bool] = lambda model, benchmark: True,
) -> Source:
    """Return the results of *run* for its curves, of the evaluations that *covers* accepts.

    *frame* is the run's table, if it is known. Evaluations that finished or failed and left the
    plan count also: their checkpoint is gone, or another command planned them.

    Raises:
        ConfigError: the run has no plan.
    """
    plan = run.plan()
    rows = table.records(table.table(run, plan) if frame is None else frame)
    planned = {item.id for item in plan}
    seen = run.read_series()
    left = {id: key for id, key in run.fingerprints().items() if id not in planned}
    plain = {model for id in left if not series_of(model := id.partition("/")[0])}
    plain &= next(run.members(), {}).keys() if plain else set()
    earlier = [
        Planned(model, benchmark, fingerprint, same_as=_same_as(model, seen.get(model)))
        for id, fingerprint in left.items()
        for model, _, benchmark in [id.partition("/")]
        if series_of(model) or model in plain
    ]
    if earlier:
        found = table.records(table.table(run, earlier))
        rows += [row for row in found if row["status"] in ("done", FAILED)]
    rows = [row for row in rows if covers(row["model"], row["benchmark"])]
    models = {row["model"] for row in rows if series_of(row["model"])}
    found_places = places(run, models, seen)
    return Source(name or run.id, rows, found_places, _headlines(run, [*plan, *earlier]))


def baseline(run: RunDirectory, name: str, covers: Callable[[str, str], bool]) -> Source:
    """Return the results of *run* that *covers* accepts as baselines of other runs' curves.

    Raises:
        ConfigError: the run has no plan.
    """
    rows = table.records(table.table(run, run.plan()))
    return Source(name, [row for row in rows if covers(row["model"], row["benchmark"])])


def places(run: RunDirectory, models: set[str], seen: Mapping[str, Seen]) -> dict[str, Place]:
    """Return the places of *models* in their series.

    *seen* are the checkpoints that heads of the run have seen. Of other models, the configurations
    that the run saved have the places, or else their names.
    """
    found = {n: place for n in models if (each := seen.get(n)) and (place := _seen(n, each))}
    if models > found.keys():
        for members in run.members():
            found = {n: place for n in models if (place := _place(members.get(n)))} | found
            if models <= found.keys():
                break
    return found | {n: Place(series_of(n), step_of(n)) for n in models - found.keys()}


def _seen(model: str, seen: Seen) -> Place | None:
    """Return the place of a checkpoint; its step is the value `step`, or else the last one."""
    if not seen.values:
        return None
    axis = "step" if "step" in seen.values else [*seen.values][-1]
    place = _placed(series_of(model), seen.values, axis)
    return replace(place, seen=seen.seen, gone=seen.gone, same_as=_same_as(model, seen))


def _same_as(model: str, seen: Seen | None) -> str:
    """Return the model that has the result of *model*, since their weights are equal."""
    return name_of(series_of(model), seen.same_as) if seen and seen.same_as else ""


def _place(data: object) -> Place | None:
    with contextlib.suppress(ValidationError):
        member = Member.model_validate(data)
        if member.axis in member.values:
            return _placed(member.series, member.values, member.axis)
    return None


def _placed(series: str, values: Mapping[str, str], axis: str) -> Place:
    others = tuple((name, value) for name, value in values.items() if name != axis)
    return Place(series, values[axis], axis, others)


def _headlines(run: RunDirectory, plan: Sequence[Planned]) -> Mapping[str, Key]:
    """Return the main metric of each benchmark, by the first record that can be read."""
    found: dict[str, Key] = {}
    for item in plan:
        if item.benchmark in found or item.left_out:
            continue
        directory = run.evaluation(item.source)
        record = directory.completion(item.fingerprint)
        if record is None:
            continue
        with contextlib.suppress(EvaluationError):
            metrics: list[dict[str, Any]] = [asdict(m) for m in current_metrics(directory, record)]
            chosen = headline({"metrics": metrics, "identity": record.identity})
            if chosen is not None:
                found[item.benchmark] = chosen["task"], chosen["metric"], chosen["filter"]
    return found
