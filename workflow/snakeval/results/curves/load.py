"""Reads from a run what its curves show: the table, and the place of each checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from snakeval.config.checkpoints import MARK, Member
from snakeval.errors import EvaluationError
from snakeval.evaluation.record import headline
from snakeval.results import table
from snakeval.results.curves.points import Key, Place, Source
from snakeval.results.scores import current_metrics
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

if TYPE_CHECKING:
    import pandas as pd


def has_series(plan: Sequence[Planned]) -> bool:
    """Whether some models of a plan are checkpoints of a series."""
    return any(MARK in item.model for item in plan)


def source(
    run: RunDirectory,
    name: str = "",
    *,
    frame: pd.DataFrame | None = None,
    covers: Callable[[str, str], bool] = lambda model, benchmark: True,
) -> Source:
    """Return the results of *run* for its curves, of the evaluations that *covers* accepts.

    *frame* is the run's table, if it is known. Finished checkpoints that left the plan, since their
    files are gone or another command planned them, keep their points.

    Raises:
        ConfigError: the run has no plan.
    """
    plan = run.plan()
    rows = table.records(table.table(run, plan) if frame is None else frame)
    planned = {item.id for item in plan}
    earlier = [
        Planned(model, benchmark, fingerprint)
        for id, fingerprint in run.fingerprints().items()
        for model, _, benchmark in [id.partition("/")]
        if id not in planned and MARK in model
    ]
    if earlier:
        rows += [r for r in table.records(table.table(run, earlier)) if r["status"] == "done"]
    rows = [row for row in rows if covers(row["model"], row["benchmark"])]
    models = {row["model"] for row in rows if MARK in row["model"]}
    return Source(name or run.id, rows, places(run, models), _headlines(run, [*plan, *earlier]))


def baseline(run: RunDirectory, name: str, covers: Callable[[str, str], bool]) -> Source:
    """Return the results of *run* that *covers* accepts as baselines of other runs' curves.

    Raises:
        ConfigError: the run has no plan.
    """
    rows = table.records(table.table(run, run.plan()))
    return Source(name, [row for row in rows if covers(row["model"], row["benchmark"])])


def places(run: RunDirectory, models: set[str]) -> dict[str, Place]:
    """Return the places of *models* in their series, by the configurations that the run saved."""
    found: dict[str, Place] = {}
    for members in run.members():
        found = {name: place for name in models if (place := _place(members.get(name)))} | found
        if models <= found.keys():
            break
    return found | {name: _place_by_name(name) for name in models if name not in found}


def _place(data: object) -> Place | None:
    with contextlib.suppress(ValidationError):
        member = Member.model_validate(data)
        if member.axis in member.values:
            others = tuple((k, v) for k, v in member.values.items() if k != member.axis)
            return Place(member.series, member.values[member.axis], member.axis, others)
    return None


def _place_by_name(model: str) -> Place:
    """Return the place of a model in a run without its configuration: the name has its values."""
    series, _, rest = model.partition(MARK)
    return Place(series, rest)


def _headlines(run: RunDirectory, plan: Sequence[Planned]) -> Mapping[str, Key]:
    """Return the main metric of each benchmark, by the first record that can be read."""
    found: dict[str, Key] = {}
    for item in plan:
        if item.benchmark in found or item.left_out:
            continue
        directory = run.evaluation(item.id)
        record = directory.completion(item.fingerprint)
        if record is None:
            continue
        with contextlib.suppress(EvaluationError):
            metrics: list[dict[str, Any]] = [asdict(m) for m in current_metrics(directory, record)]
            chosen = headline({"metrics": metrics, "identity": record.identity})
            if chosen is not None:
                found[item.benchmark] = chosen["task"], chosen["metric"], chosen["filter"]
    return found
