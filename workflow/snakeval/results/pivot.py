"""The scores of a run at a glance: a row for each model, a column for each benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snakeval.ledger.plain_text import visible

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_GAP = "  "


def pivot(rows: Sequence[Mapping[str, Any]], width: int = 0, *, bold: bool = False) -> str:
    """Return the table of *rows* of results.json, or an empty text if it would show nothing more.

    The cell of a model and a benchmark is the first metric of the benchmark, with its standard
    error, or the status. If a metric has a direction, the best score of several is *bold*. A table
    of one model or one benchmark, or of more columns than *width* allows, shows nothing more.
    """
    models, firsts = list(dict.fromkeys(row["model"] for row in rows)), _firsts(rows)
    if len(models) < 2 or len(firsts) < 2:
        return ""
    cells: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        metric = firsts[row["benchmark"]]
        if metric is None or row.get("value") is None or _metric(row) == metric:
            cells.setdefault((row["model"], row["benchmark"]), row)
    columns = [["", *(visible(str(model)) for model in models)]]
    marked: list[set[int]] = [set()]
    for benchmark, metric in firsts.items():
        column = [cells.get((model, benchmark), {}) for model in models]
        head = f"{benchmark} {metric[1]}" if metric else benchmark
        columns.append([visible(head), *map(_text, column)])
        marked.append(_best(column))
    table = _aligned(columns, marked if bold else [set() for _ in columns])
    widest = sum(max(map(len, column)) + len(_GAP) for column in columns) - len(_GAP)
    return "" if width and widest > width else table


def _metric(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.get("task"), row.get("metric"), row.get("filter") or None


def _firsts(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...] | None]:
    """Return the metric of each benchmark that the table shows; None if none has a score."""
    found: dict[str, tuple[Any, ...] | None] = {}
    for row in rows:
        name = row["benchmark"]
        found.setdefault(name, None)
        if found[name] is None and row.get("value") is not None:
            found[name] = _metric(row)
    return found


def _text(row: Mapping[str, Any]) -> str:
    if row.get("value") is None:
        return str(row.get("status", ""))
    error = "" if row.get("stderr") is None else f" ± {row['stderr']:.4f}"
    return f"{row['value']:.4f}{error}"


def _best(column: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the positions of the best scores; none if all are equal or no direction is known."""
    scores = {n: row["value"] for n, row in enumerate(column, 1) if row.get("value") is not None}
    directions = {row.get("higher_is_better") for row in column if row.get("value") is not None}
    if len(set(scores.values())) < 2 or len(directions) != 1 or None in directions:
        return set()
    best = max(scores.values()) if directions == {True} else min(scores.values())
    return {number for number, score in scores.items() if score == best}


def _aligned(columns: Sequence[Sequence[str]], marked: Sequence[set[int]]) -> str:
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for number in range(len(columns[0])):
        cells = []
        for column, width, best in zip(columns, widths, marked, strict=True):
            text = column[number].ljust(width)
            cells.append(f"{_BOLD}{text}{_PLAIN}" if number in best else text)
        lines.append(_GAP.join(cells).rstrip())
    return "\n".join(lines)
