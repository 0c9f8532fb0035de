"""Formats the results table for people: cells of text, Markdown, and a narrow terminal's table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snakeval.evaluation.amounts import money_text
from snakeval.ledger.plain_text import visible

if TYPE_CHECKING:
    import pandas as pd

#: The columns of the readable table.
COLUMNS = ("model", "benchmark", "metric", "value", "95 %", "n", "health", "status")


def cells(row: Mapping[str, Any], *, reasons: bool = True) -> dict[str, str]:
    """Return the cells of a row of results.json: value ± standard error, interval, and status.

    An unfinished row has its reason next to its status, and a finished one its marks, unless
    *reasons* is false.
    """
    value, error, low, high = (row.get(k) for k in ("value", "stderr", "ci_low", "ci_high"))
    name = f" ({row['filter']})" if row.get("filter") else ""
    reason = row.get("reason") if reasons else ""
    marks = f" ({row['marks']})" if reasons and row.get("marks") else ""
    found = {
        "model": row["model"],
        "benchmark": row["benchmark"],
        "metric": f"{row.get('metric') or ''}{name}",
        "value": ""
        if value is None
        else f"{value:.4f}" + ("" if error is None else f" ± {error:.4f}"),
        "95 %": "" if low is None or high is None else f"{low:.4f} to {high:.4f}",
        "n": _samples(row),
        "health": row.get("health") or "",
        "status": f"{row['status']}: {reason}" if reason else f"{row['status']}{marks}",
    }
    if "currency" in row:
        found["cost"] = _cost(row)
    return {column: " ".join(str(cell).split()) for column, cell in found.items()}


def score_text(value: float | None) -> str:
    """Return a score in a few digits.

    >>> score_text(0.71249), score_text(1234.5), score_text(1.5e-7), score_text(None)
    ('0.712', '1,234.5', '1.5e-07', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
    return f"{value:.3g}"


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of the readable table of rows.

    The cost is one if some have a price. Tables of earlier versions have no health.
    """
    lacks = {"health"} if not any(row.get("health") for row in rows) else set()
    known = [name for name in COLUMNS if name not in lacks]
    priced = any(row.get("currency") for row in rows)
    return [*known[:-1], *(["cost"] if priced else []), known[-1]]


def _cost(row: Mapping[str, Any]) -> str:
    """Return the cost of a row's evaluation, or what is known of it."""
    if not row.get("currency"):
        return ""
    if row.get("cost") is None:
        return "unknown"
    part = "≥ " if row.get("cost_note") else ""
    return part + money_text(float(row["cost"]), str(row["currency"]))


def _samples(row: Mapping[str, Any]) -> str:
    """Return the number of samples, and how many of them have a score if some have none."""
    if ungraded := row.get("ungraded"):
        graded = int(row.get("graded") or 0)
        return f"{graded} of {graded + int(ungraded)} graded"
    return "" if row.get("n") is None else str(int(row["n"]))


def to_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows of results.json as a Markdown table."""
    rows = list(rows)
    return _table([cells(row) for row in rows], columns(rows))


#: The beginnings of a formula in spreadsheets, also in full-width characters.
_FORMULA = tuple("=+-@＝＋－＠")


def cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: such a text gets an apostrophe."""
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return f"'{value}"
    return value


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV, whose texts are visible and no formulas of a spreadsheet."""
    found = frame.rename(columns=lambda name: cell(visible(str(name))))
    for number, kind in enumerate(found.dtypes):
        if kind.kind not in "iufb":
            texts = [_text(value) for value in found.iloc[:, number]]
            found.isetitem(number, texts)
    return str(found.to_csv(index=False))


def _text(value: object) -> object:
    return cell(visible(value, "\n")) if isinstance(value, str) else value


def fitted(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the Markdown table for a terminal of *width* columns.

    A table that is too wide loses its reasons, which the jobs have printed, and then its intervals,
    and its health if all is well.
    """
    table = to_markdown(rows)
    if _width(table) > width:
        short = [cells(row, reasons=False) for row in rows]
        table = _table(short, columns(rows))
        if _width(table) > width:
            dull = all(row.get("health") in ("ok", "", None) for row in rows)
            dropped = ("95 %", "health") if dull else ("95 %",)
            table = _table(short, [name for name in columns(rows) if name not in dropped])
    return table


def _table(texts: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    from tabulate import tabulate

    # A bar in a reason would end the cell.
    data = {name: [cell[name].replace("|", "\\|") for cell in texts] for name in columns}
    return str(tabulate(data, headers="keys", tablefmt="pipe", disable_numparse=True))


def _width(table: str) -> int:
    return max(map(len, table.splitlines()))
