"""Joins the evaluations of several runs in the rows of one report.

A row is a model. If several runs have a model of one name, they share its row only if the model is
the same in all of them and no benchmark is in two of them. Otherwise each run has a row, which
names the run and its date: the same evaluation of two runs is then shown twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from snakeval.evaluation.definition import digest
from snakeval.results.marks import Definitions
from snakeval.results.money import Money
from snakeval.results.report.costs import Cost
from snakeval.results.report.parts import Cell, Part


class Rows:
    """The rows of the models of *parts*."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        found: dict[str, list[Sequence[Cell]]] = {}
        for part in parts:
            cells: dict[str, list[Cell]] = {}
            for cell in part.cells:
                cells.setdefault(cell.model, []).append(cell)
            for model, own in cells.items():
                found.setdefault(model, []).append(own)
        several = {model: own for model, own in found.items() if len(own) > 1}
        self._shared = {model for model, own in several.items() if _fit_one_row(own)}
        self._apart = several.keys() - self._shared

    def name(self, part: Part, model: str) -> str:
        """Return the row of a model of one of the parts."""
        return f"{model} · {part.origin.text}" if model in self._apart else model

    def sources(self) -> dict[str, str]:
        """Return the runs of each row; nothing for rows that name their run, and for one run."""
        if len(self._parts) == 1:
            return {}
        found: dict[str, list[str]] = {}
        for part in self._parts:
            for model in dict.fromkeys(item.model for item in part.plan):
                if model not in self._apart:
                    found.setdefault(model, []).append(part.origin.text)
        return {model: ", ".join(texts) for model, texts in found.items()}

    def cells(self) -> dict[tuple[str, str], Cell]:
        """Return the cells by row and benchmark, with marks of unlike definitions."""
        cells = [
            cell.of_row(self.name(part, cell.model)) for part in self._parts for cell in part.cells
        ]
        definitions = Definitions()
        for cell in cells:
            if cell.measured:
                definitions.add(cell.model, cell.benchmark, cell.measured.record)
        mixed = definitions.mixed()
        found = {}
        for cell in cells:
            key = (cell.model, cell.benchmark)
            marks = "; ".join(filter(None, (cell.marks, mixed.get(key))))
            found[key] = replace(cell, marks=marks)
        return found

    def costs(self) -> Iterator[Cost]:
        """Yield the costs of each model of each run."""
        for part in self._parts:
            for cost in part.costs:
                row = self.name(part, cost.model)
                shared = f" · {part.origin.text}" if cost.model in self._shared else ""
                yield replace(cost, model=f"{row}{shared}")

    def money(self) -> Money | None:
        """Return the cost of all parts; unknown if their currencies differ."""
        known = [part.money for part in self._parts if part.money]
        if not known:
            return None
        first, *rest = known
        if any(each.currency != first.currency for each in rest):
            return Money(None, first.currency, "the runs have prices in several currencies")
        return sum(rest, first)


def _fit_one_row(runs: Sequence[Sequence[Cell]]) -> bool:
    cells = [cell for own in runs for cell in own]
    benchmarks = {cell.benchmark for cell in cells}
    subjects = {_subject(cell) for cell in cells} - {""}
    return len(benchmarks) == len(cells) and len(subjects) <= 1


def _subject(cell: Cell) -> str:
    """Return what the model of a finished evaluation is; an empty text for another one."""
    if cell.measured is None:
        return ""
    identity = cell.measured.record.identity
    host = urlsplit(str(identity.get("endpoint_url") or "")).netloc
    return digest([identity.get("model_id"), host, identity.get("deployment") or {}])
