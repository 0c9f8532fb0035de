"""Collects the content of the report as plain objects: numbers and texts, without a design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from snakeval.config.health_rules import LEVELS
from snakeval.evaluation.verdict import Finding, Verdict
from snakeval.files import read_bytes
from snakeval.ledger.plain_text import without_tokens
from snakeval.results import comparison, health, table
from snakeval.results.comparison import Compared, Measured, Repeated
from snakeval.results.curves import grouping, load
from snakeval.results.curves.points import Figure, Source
from snakeval.results.money import Costs, Money
from snakeval.results.report import answer, replies
from snakeval.results.report.answer import Overall, Winner
from snakeval.results.report.costs import Cost, Spent, costs, spent
from snakeval.results.report.ranking import Ranking, rankings
from snakeval.results.report.samples import Kept, Shelf, Shelves
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

#: The limit for all evaluations together; each one has an equal share.
MAX_SAMPLES = 200_000
MIN_SAMPLES = 200
MAX_CONFIG_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the matrix.

    Attributes:
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

    @property
    def name(self) -> str:
        """Its model and benchmark, as commands take them."""
        return f"{self.model}/{self.benchmark}"


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of a run's report.

    ``samples_folder`` and ``curves_page`` are next to the page.
    """

    run: str
    name: str
    id: str
    started: str
    made_by: str
    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    frame: pd.DataFrame
    rankings: tuple[Ranking, ...]
    repeats: tuple[Repeated, ...]
    compared: tuple[Compared, ...]
    overall: tuple[Overall, ...]
    winners: tuple[Winner, ...]
    costs: tuple[Cost, ...]
    configuration: str
    samples_folder: str
    counts: Mapping[str, int] = field(default_factory=dict)
    money: Money | None = None
    curves: tuple[Figure, ...] = ()
    curves_page: str = ""

    @property
    def health(self) -> list[tuple[Cell, Finding]]:
        """The findings in the health of all evaluations, the gravest first."""
        cells = [cell for cell in self.cells.values() if cell.verdict]
        found = [(cell, each) for cell in cells for each in (cell.verdict or Verdict()).findings]
        return sorted(found, key=lambda pair: LEVELS.index(pair[1].level))

    @property
    def unknown_health(self) -> dict[str, str]:
        """Why health is unknown, or a part of it -> the evaluations concerned."""
        found: dict[str, list[str]] = {}
        for cell in self.cells.values():
            if cell.verdict and cell.verdict.unknown:
                found.setdefault(cell.verdict.unknown, []).append(f"{cell.model}/{cell.benchmark}")
        more = {
            why: f" and {len(names) - 1} more" * (len(names) > 1) for why, names in found.items()
        }
        return {why: f"{names[0]}{more[why]}" for why, names in found.items()}

    @property
    def samples(self) -> tuple[int, int]:
        """The number of all samples, and the number of samples in the report."""
        shelves = [cell.shelf for cell in self.cells.values() if cell.shelf]
        return sum(s.total for s in shelves), sum(s.shown for s in shelves)

    @property
    def spent(self) -> Spent:
        """The cost of all models together."""
        return spent(self.costs)

    @property
    def failed(self) -> dict[str, list[Cell]]:
        """The failed evaluations by their reason, the most frequent one first."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells.values():
            if cell.status == "failed":
                found.setdefault(cell.reason or "no reason is recorded", []).append(cell)
        return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))

    @property
    def unread(self) -> dict[str, str]:
        """Why samples are missing, for each evaluation whose samples cannot all be read."""
        cells = self.cells.values()
        found = [(cell, cell.measured.problem) for cell in cells if cell.measured]
        return {f"{cell.model}/{cell.benchmark}": problem for cell, problem in found if problem}


def collect(run: RunDirectory, shelves: Shelves, baselines: Sequence[Source] = ()) -> Facts:
    """Collect the report's content of *run*, and write its samples to *shelves*.

    *baselines* are results of other runs, for the curves.
    """
    plan = run.plan()
    frame = table.table(run)
    limit = max(MIN_SAMPLES, MAX_SAMPLES // max(1, len(plan)))
    found: dict[tuple[str, str], Measured] = {}
    shelved: dict[tuple[str, str], Shelf] = {}
    for item in plan:
        kept = Kept(limit)
        one = comparison.measure(run, item, kept)
        if one is None:
            continue
        key = (item.model, item.benchmark)
        found[key] = one
        if kept.total:
            find = partial(replies.of_samples, one.directory, one.record, limit=limit)
            shelved[key] = shelves.put(kept, one.metric, one.scale, find)
    everything = list(found.values())
    repeats = comparison.repeated(everything)
    ranked = tuple(rankings(repeats, plan))
    compared = tuple(comparison.compare(comparison.pairs(everything)))
    origin, name = _origin(run), run.path.resolve().name
    return Facts(
        run=name,
        name=str((origin.get("identity") or {}).get("name") or ""),
        id=str(origin.get("id") or name[-8:]),
        started=name[:16],
        made_by=str(origin.get("snakeval") or ""),
        models=tuple(dict.fromkeys(item.model for item in plan)),
        benchmarks=tuple(dict.fromkeys(item.benchmark for item in plan)),
        cells=dict(_cells(run, plan, frame, found, shelved)),
        frame=frame,
        rankings=ranked,
        repeats=tuple(each for each in repeats if len(each.runs) > 1),
        compared=compared,
        overall=tuple(answer.overall(ranked)),
        winners=tuple(answer.winners(everything, compared)),
        costs=tuple(costs(run, plan, everything)),
        configuration=without_tokens(_text(run.config)),  # an earlier version saved them
        samples_folder=run.report_samples.name,
        counts=_counts(frame),
        money=Costs(run, plan).total(),
        curves=tuple(_curves(run, plan, frame, baselines)),
        curves_page=run.curves.relative_to(run.path).as_posix(),
    )


def _curves(
    run: RunDirectory, plan: Sequence[Planned], frame: pd.DataFrame, baselines: Sequence[Source]
) -> list[Figure]:
    """Return the curves of a run that has a series of checkpoints."""
    if not load.has_series(run, plan):
        return []
    return grouping.figures([load.source(run, frame=frame), *baselines])


def _counts(frame: pd.DataFrame) -> dict[str, int]:
    status = frame.drop_duplicates(["model", "benchmark"])["status"].value_counts()
    return {state: int(status.get(state, 0)) for state in ("done", "failed", "pending", "skipped")}


def _cells(
    run: RunDirectory,
    plan: Sequence[Planned],
    frame: pd.DataFrame,
    found: Mapping[tuple[str, str], Measured],
    shelved: Mapping[tuple[str, str], Shelf],
) -> Iterator[tuple[tuple[str, str], Cell]]:
    said = frame.drop_duplicates(["model", "benchmark"]).set_index(["model", "benchmark"])
    status = said["status"].to_dict()
    reasons, marks = (
        said[name].astype(object).where(said[name].notna(), "").to_dict()
        for name in ("reason", "marks")
    )
    columns: dict[str, list[Measured]] = {}
    for one in found.values():
        columns.setdefault(one.benchmark, []).append(one)
    for item in plan:
        key = (item.model, item.benchmark)
        one_of = found.get(key)
        shade = _shade(one_of, columns[item.benchmark]) if one_of else None
        yield (
            key,
            Cell(
                *key,
                str(status[key]),
                str(reasons[key]),
                one_of,
                shade,
                shelved.get(key),
                str(marks[key]),
                one_of.verdict if one_of else health.of_failure(run.evaluation(item.source)),
                _links(run, item),
            ),
        )


def _links(run: RunDirectory, item: Planned) -> dict[str, str]:
    """Return the addresses of the files of an evaluation that exist."""
    place = run.evaluation(item.source)
    files = {"log": place.log, "logs": place.logs, "artifacts": place.artifacts}
    files[place.script.name] = place.script
    found = {text: path for text, path in files.items() if path.exists()}
    return {text: quote(path.relative_to(run.path).as_posix()) for text, path in found.items()}


def _shade(one: Measured, column: Sequence[Measured]) -> float | None:
    """Return a score's shade: the score in [0, 1], else its place in the benchmark's range."""
    values = [each.metric.value for each in column if each.key == one.key]
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if low == high:
        return None
    share = (one.metric.value - low) / (high - low)
    return 1 - share if one.metric.higher_is_better is False else share


def _origin(run: RunDirectory) -> dict[str, Any]:
    try:
        return run.read_origin()
    except (OSError, ValueError):
        return {}  # the rest of the report is still useful


def _text(path: Path) -> str:
    try:
        text = (read_bytes(path) or b"").decode("utf-8", "replace")
    except OSError:
        return ""
    cut = len(text) - MAX_CONFIG_CHARACTERS
    return text if cut <= 0 else f"{text[:MAX_CONFIG_CHARACTERS]}\n… and {cut:,} more characters"
