"""Gathers what each run brings to a report: its evaluations, samples and costs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from snakeval.evaluation.verdict import Verdict
from snakeval.files import read_bytes
from snakeval.ledger.plain_text import without_tokens
from snakeval.results import comparison, health, table
from snakeval.results.comparison import Measured
from snakeval.results.marks import marks
from snakeval.results.money import Costs, Money
from snakeval.results.report import replies
from snakeval.results.report.costs import Cost, costs
from snakeval.results.report.samples import Kept, Shelf, Shelves
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

MAX_CONFIG_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the matrix.

    Attributes:
        target: its run, model and benchmark, as commands take them.
        place: its directory, from the page.
        shade: the score's rank on its benchmark, 0 to 1, or None.
        links: the addresses of its files, from the page.
    """

    model: str
    benchmark: str
    status: str
    reason: str = ""
    measured: Measured | None = None
    shade: float | None = None
    shelf: Shelf | None = None
    marks: str = ""
    verdict: Verdict | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """Its model and benchmark."""
        return f"{self.model}/{self.benchmark}"

    def of_row(self, model: str) -> Cell:
        """Return the cell in the row *model*, which may have another name than in its run."""
        one = self.measured
        if one is not None:
            one = replace(one, record=replace(one.record, model=model))
        return replace(self, model=model, measured=one)


@dataclass(frozen=True, slots=True)
class Origin:
    """The run behind a part of the report; ``run`` is the name of its directory."""

    run: str
    name: str
    id: str
    made_by: str
    configuration: str

    @property
    def started(self) -> str:
        """When it started, for people."""
        return f"{self.run[:10]} {self.run[11:16].replace('-', ':')}"

    @property
    def text(self) -> str:
        """Its id and its date."""
        return f"{self.id} {self.run[:10]}"


@dataclass(frozen=True, slots=True)
class Part:
    """The material of one run for a report."""

    run: RunDirectory
    origin: Origin
    plan: tuple[Planned, ...]
    frame: pd.DataFrame
    cells: tuple[Cell, ...]
    costs: tuple[Cost, ...]
    money: Money | None


def gather(run: RunDirectory, shelves: Shelves, limit: int, folder: Path) -> Part:
    """Return the part of *run* in the page that is in *folder*, with its samples in *shelves*.

    Each evaluation has at most *limit* samples.
    """
    plan = run.plan()
    frame = table.table(run)
    cells = tuple(_cells(run, plan, frame, shelves, limit, folder))
    measured = [cell.measured for cell in cells if cell.measured]
    return Part(
        run,
        _origin(run),
        plan,
        frame,
        cells,
        tuple(costs(run, plan, measured)),
        Costs(run, plan).total(),
    )


def _cells(
    run: RunDirectory,
    plan: tuple[Planned, ...],
    frame: pd.DataFrame,
    shelves: Shelves,
    limit: int,
    folder: Path,
) -> Iterator[Cell]:
    said = frame.drop_duplicates(["model", "benchmark"]).set_index(["model", "benchmark"])
    status = said["status"].to_dict()
    reasons = said["reason"].astype(object).where(said["reason"].notna(), "").to_dict()
    id = _origin(run).id
    for item in plan:
        kept = Kept(limit)
        one = comparison.measure(run, item, kept)
        shelf = None
        if one is not None and kept.total:
            find = partial(replies.of_samples, one.directory, one.record, limit=limit)
            shelf = shelves.put(kept, one.metric, one.scale, find)
        directory = run.evaluation(item.source)
        yield Cell(
            item.model,
            item.benchmark,
            str(status[item.model, item.benchmark]),
            str(reasons[item.model, item.benchmark]),
            one,
            shelf=shelf,
            marks="; ".join(marks(one.directory, one.record)) if one else "",
            verdict=one.verdict if one else health.of_failure(directory),
            links=_links(run, item, folder),
            target=f"{id}/{item.id}",
            place=_from(folder, directory.path),
        )


def _links(run: RunDirectory, item: Planned, folder: Path) -> dict[str, str]:
    """Return the addresses of the files of an evaluation that exist."""
    place = run.evaluation(item.source)
    files = {"log": place.log, "logs": place.logs, "artifacts": place.artifacts}
    files[place.script.name] = place.script
    found = {text: path for text, path in files.items() if path.exists()}
    return {text: quote(_from(folder, path)) for text, path in found.items()}


def _from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _origin(run: RunDirectory) -> Origin:
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # the rest of the report is still useful
        found = run.read_origin()
    directory = run.path.resolve().name
    return Origin(
        directory,
        str((found.get("identity") or {}).get("name") or ""),
        str(found.get("id") or directory[-8:]),
        str(found.get("snakeval") or ""),
        without_tokens(_text(run.config)),  # an earlier version saved them
    )


def _text(path: Path) -> str:
    try:
        text = (read_bytes(path) or b"").decode("utf-8", "replace")
    except OSError:
        return ""
    cut = len(text) - MAX_CONFIG_CHARACTERS
    return text if cut <= 0 else f"{text[:MAX_CONFIG_CHARACTERS]}\n… and {cut:,} more characters"
