"""Packages of series: one entry for each curve of a training, whose scores have steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from snakeval.config.checkpoints import number
from snakeval.exporters import Options
from snakeval.exporters.package import (
    Artifact,
    Package,
    Step,
    counts_of,
    with_metrics,
)
from snakeval.exporters.scores import scores_of
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

if TYPE_CHECKING:
    import pandas as pd

    from snakeval.results.curves.points import Place, Source

_LARGEST = 2**63


def series_packages(
    run: RunDirectory,
    title: str,
    whole: pd.DataFrame,
    options: Options,
    files: Mapping[Planned, Sequence[Artifact]],
) -> list[Package]:
    """Return a package for each curve of *run*, whose table is *whole*.

    *files* are the files to send of each evaluation.
    """
    from snakeval.results.curves import load

    if not load.has_series(run, tuple(files)):
        return []
    source = load.source(run, frame=whole)
    groups: dict[str, list[str]] = {}
    for model, place in source.places.items():
        groups.setdefault(place.curve, []).append(model)
    return [
        _package(run, title, curve, set(models), source, whole, options, files)
        for curve, models in groups.items()
    ]


def _package(
    run: RunDirectory,
    title: str,
    curve: str,
    models: set[str],
    source: Source,
    whole: pd.DataFrame,
    options: Options,
    files: Mapping[Planned, Sequence[Artifact]],
) -> Package:
    import pandas as pd

    rows = [row for row in source.rows if row["model"] in models and row["status"] != "skipped"]
    table = pd.DataFrame(rows, columns=whole.columns).astype(whole.dtypes)
    frame = with_metrics(table, options)
    place = source.places[min(models)]
    done, failed, missing = counts_of(table)
    return Package(
        key=f"{run.name}/{place.curve}",
        directory=run.path,
        title=title,
        frame=frame,
        done=done,
        failed=failed,
        missing=missing,
        series=curve,
        steps=tuple(steps(frame.to_dict(orient="records"), source.places)),
        facts={**dict(place.others), "series": place.series, "axis": place.axis},
        tags=options.tags,
        artifacts=tuple(
            Artifact(file.path, f"{item.id}/{file.name}", file.size)
            for item, found in files.items()
            if item.model in models
            for file in found
        ),
    )


def steps(rows: Iterable[Mapping[Any, Any]], places: Mapping[str, Place]) -> list[Step]:
    """Return the scores of the checkpoints that have some, by their steps."""
    from snakeval.results.curves.points import ordered

    of_step: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        if row["status"] == "done":
            of_step.setdefault(places[row["model"]].step, []).append(row)
    names = ordered(of_step)
    whole = {name: _whole(name) for name in names}
    is_numbered = None not in whole.values() and len({*whole.values()}) == len(names)
    return [
        Step(
            (whole[name] or 0) if is_numbered else index,
            name,
            max(_seconds(row["finished"]) for row in of_step[name]),
            scores_of(of_step[name], ["benchmark"]),
        )
        for index, name in enumerate(names)
    ]


def _whole(step: str) -> int | None:
    """Return a step as a number that services take, if it is one."""
    value = number(step)
    if value is None or not 0 <= value < _LARGEST or value != value.to_integral_value():
        return None
    return int(value)


def _seconds(finished: str) -> float:
    return datetime.fromisoformat(finished).timestamp()
