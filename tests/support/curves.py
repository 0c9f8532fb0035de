"""Rows of a results table, and the figures that they make."""

from __future__ import annotations

from typing import Any

from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Figure, Place, Source


def row(
    model: str, value: float | None = None, benchmark: str = "b", **more: Any
) -> dict[str, Any]:
    base = {"model": model, "benchmark": benchmark}
    if value is None:
        return base | {"status": "pending"} | more
    found = {"task": "t", "metric": "acc", "filter": "", "value": value, "status": "done"}
    interval = {"ci_low": value - 0.1, "ci_high": value + 0.1, "n": 10, "higher_is_better": True}
    return base | found | interval | more


def source(*rows: dict[str, Any], name: str = "8b1a", **more: Any) -> Source:
    models = {each["model"] for each in rows if "@" in each["model"]}
    places = {m: Place(*m.split("@", 1)) for m in models}
    return Source(name, rows, places, **more)


def only(*sources: Source) -> Figure:
    (figure,) = figures(sources)
    return figure
