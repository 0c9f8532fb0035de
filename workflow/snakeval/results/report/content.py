"""Collects the content of the report as plain objects: numbers and texts, without a design."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from snakeval.config.health_rules import LEVELS
from snakeval.evaluation.verdict import Finding, Verdict
from snakeval.results import comparison
from snakeval.results.comparison import Compared, Measured, Repeated
from snakeval.results.curves import grouping, load
from snakeval.results.curves.points import Figure, Source
from snakeval.results.money import Money
from snakeval.results.report import answer
from snakeval.results.report.answer import Overall, Winner
from snakeval.results.report.costs import Cost, Spent, spent
from snakeval.results.report.join import Rows
from snakeval.results.report.parts import Cell, Origin, Part, gather
from snakeval.results.report.ranking import Ranking, rankings
from snakeval.results.report.samples import Shelves
from snakeval.run.directory import RunDirectory

#: The limit for all evaluations together; each one has an equal share.
MAX_SAMPLES = 200_000
MIN_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of a report of one run, or of several.

    Attributes:
        sources: the runs of a model's row; empty for one run.
        samples_folder: the folder of samples next to the page.
    """

    origins: tuple[Origin, ...]
    models: tuple[str, ...]
    sources: Mapping[str, str]
    benchmarks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    rankings: tuple[Ranking, ...]
    repeats: tuple[Repeated, ...]
    compared: tuple[Compared, ...]
    overall: tuple[Overall, ...]
    winners: tuple[Winner, ...]
    costs: tuple[Cost, ...]
    samples_folder: str
    counts: Mapping[str, int] = field(default_factory=dict)
    money: Money | None = None
    curves: tuple[Figure, ...] = ()

    @property
    def title(self) -> str:
        """The names of the runs, or their ids."""
        return " + ".join(dict.fromkeys(each.name or each.id for each in self.origins))

    @property
    def ids(self) -> list[str]:
        """The ids of the runs."""
        return [each.id for each in self.origins]

    @property
    def unfinished(self) -> list[str]:
        """The ids of the runs that can resume."""
        cells = [c for c in self.cells.values() if c.status in ("failed", "pending")]
        return list(dict.fromkeys(cell.target.partition("/")[0] for cell in cells))

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


def collect(
    runs: Sequence[RunDirectory], shelves: Shelves, page: Path, baselines: Sequence[Source] = ()
) -> Facts:
    """Collect the content of the report of *runs* at *page*, and write its samples to *shelves*.

    *baselines* are results of other runs, for the curves.
    """
    limit = max(MIN_SAMPLES, MAX_SAMPLES // max(1, sum(len(run.plan()) for run in runs)))
    parts = [gather(run, shelves, limit, page.parent) for run in runs]
    rows = Rows(parts)
    cells = rows.cells()
    everything = [cell.measured for cell in cells.values() if cell.measured]
    repeats = comparison.repeated(everything)
    plan = [item for part in parts for item in part.plan]
    ranked = tuple(rankings(repeats, plan))
    compared = tuple(comparison.compare(comparison.pairs(everything)))
    return Facts(
        origins=tuple(part.origin for part in parts),
        models=tuple(dict.fromkeys(model for model, _ in cells)),
        sources=rows.sources(),
        benchmarks=tuple(dict.fromkeys(item.benchmark for item in plan)),
        cells=dict(_shaded(cells, everything)),
        rankings=ranked,
        repeats=tuple(each for each in repeats if len(each.runs) > 1),
        compared=compared,
        overall=tuple(answer.overall(ranked)),
        winners=tuple(answer.winners(everything, compared)),
        costs=tuple(rows.costs()),
        samples_folder=shelves.directory.name,
        counts=Counter(cell.status for cell in cells.values()),
        money=rows.money(),
        curves=tuple(_curves(parts, baselines)),
    )


def _curves(parts: Sequence[Part], baselines: Sequence[Source]) -> list[Figure]:
    """Return the curves of runs of which one has a series of checkpoints."""
    if not any(load.has_series(part.run, part.plan) for part in parts):
        return []
    names = [part.origin.id if len(parts) > 1 else "" for part in parts]
    own = [load.source(p.run, name, frame=p.frame) for p, name in zip(parts, names, strict=True)]
    return grouping.figures([*own, *baselines])


def _shaded(
    cells: Mapping[tuple[str, str], Cell], everything: Sequence[Measured]
) -> Iterator[tuple[tuple[str, str], Cell]]:
    columns: dict[str, list[Measured]] = {}
    for one in everything:
        columns.setdefault(one.benchmark, []).append(one)
    for key, cell in cells.items():
        one_of = cell.measured
        shade = _shade(one_of, columns[cell.benchmark]) if one_of else None
        yield key, replace(cell, shade=shade)


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
