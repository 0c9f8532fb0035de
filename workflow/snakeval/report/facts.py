"""What the report says, as plain objects: all numbers and texts, and nothing of how they look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from snakeval import measured, results, statistics
from snakeval.deployment import Plan
from snakeval.errors import EvaluationError
from snakeval.harnesses import adapter
from snakeval.measured import Compared, Measured, Repeated
from snakeval.plan import Planned, read_plan
from snakeval.report.samples import Kept, Shelf, Shelves
from snakeval.statistics import Average

#: The samples of all evaluations together, of which each has its share.
MAX_SAMPLES = 200_000
MIN_SAMPLES = 200
MAX_CONFIG_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the matrix. ``shade``: how good the score is among its like, 0 to 1, or None."""

    model: str
    benchmark: str
    status: str
    reason: str = ""
    measured: Measured | None = None
    shade: float | None = None
    shelf: Shelf | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Models by their average over benchmarks of one metric, the best first.

    ``left_out``: models that lack one of the benchmarks, and which.
    """

    metric: str
    benchmarks: tuple[str, ...]
    rows: tuple[tuple[str, Average], ...]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model's evaluations took; None where nobody counted.

    Attributes:
        seconds: in which harnesses ran, those that ran at once added up.
        gpu_hours: GPUs of its server times the hours in which one of its evaluations ran.
        loads: how often its server was started.
    """

    model: str
    done: int
    samples: int | None
    requests: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
    gpu_hours: float | None
    loads: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the report says of a run."""

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
    costs: tuple[Cost, ...]
    configuration: str
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> tuple[int, int]:
        """How many samples there are, and how many of them the report shows."""
        shelves = [cell.shelf for cell in self.cells.values() if cell.shelf]
        return sum(s.total for s in shelves), sum(s.shown for s in shelves)


def collect(run: Path, shelves: Shelves) -> Facts:
    """Read all that the report says of *run*, and put its samples on *shelves*."""
    plan = read_plan(run / ".snakeval" / "plan.json")
    frame = results.table(run)
    limit = max(MIN_SAMPLES, MAX_SAMPLES // max(1, len(plan)))
    found: dict[tuple[str, str], Measured] = {}
    shelved: dict[tuple[str, str], Shelf] = {}
    for item in plan:
        kept = Kept(limit)
        one = measured.measure(run, item, kept)
        if one is None:
            continue
        key = (item.model, item.benchmark)
        found[key] = one
        if kept.total:
            shelved[key] = shelves.put(kept, one.metric, one.scale)
    everything = list(found.values())
    repeats = measured.repeated(everything)
    identity = _read(run / ".snakeval" / "run.json")
    return Facts(
        run=run.resolve().name,
        name=str((identity.get("identity") or {}).get("name") or ""),
        id=str(identity.get("id") or run.resolve().name[-8:]),
        started=run.resolve().name[:16],
        made_by=str(identity.get("snakeval") or ""),
        models=tuple(dict.fromkeys(item.model for item in plan)),
        benchmarks=tuple(dict.fromkeys(item.benchmark for item in plan)),
        cells=dict(_cells(plan, frame, found, shelved)),
        frame=frame,
        rankings=tuple(_rankings(repeats, plan)),
        repeats=tuple(each for each in repeats if len(each.runs) > 1),
        compared=tuple(measured.compare(measured.pairs(everything))),
        costs=tuple(_costs(run, plan, everything)),
        configuration=_text(run / "config.yaml"),
        counts=_counts(frame),
    )


def _counts(frame: pd.DataFrame) -> dict[str, int]:
    status = frame.drop_duplicates(["model", "benchmark"])["status"].value_counts()
    return {state: int(status.get(state, 0)) for state in ("done", "failed", "pending", "skipped")}


def _cells(
    plan: Sequence[Planned],
    frame: pd.DataFrame,
    found: Mapping[tuple[str, str], Measured],
    shelved: Mapping[tuple[str, str], Shelf],
) -> Iterator[tuple[tuple[str, str], Cell]]:
    said = frame.drop_duplicates(["model", "benchmark"]).set_index(["model", "benchmark"])
    status = said["status"].to_dict()
    reasons = said["reason"].astype(object).fillna("").to_dict()
    columns: dict[str, list[Measured]] = {}
    for one in found.values():
        columns.setdefault(one.benchmark, []).append(one)
    for item in plan:
        key = (item.model, item.benchmark)
        one_of = found.get(key)
        shade = _shade(one_of, columns[item.benchmark]) if one_of else None
        yield (
            key,
            Cell(*key, str(status[key]), str(reasons[key]), one_of, shade, shelved.get(key)),
        )


def _shade(one: Measured, column: Sequence[Measured]) -> float | None:
    """How good a score is: itself where the benchmark's are in [0, 1], else within their range."""
    values = [each.metric.value for each in column if each.key == one.key]
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if low == high:
        return None
    share = (one.metric.value - low) / (high - low)
    return 1 - share if one.metric.higher_is_better is False else share


def _rankings(repeats: Sequence[Repeated], plan: Sequence[Planned]) -> Iterator[Ranking]:
    """A ranking for each metric that benchmarks have; there is no average over different ones.

    A benchmark that was repeated counts as one, with the mean of its runs.
    """
    by_metric: dict[str, dict[str, dict[str, Repeated]]] = {}
    for one in repeats:
        first = one.runs[0]
        by_model = by_metric.setdefault(first.metric.metric, {})
        by_model.setdefault(first.model, {})[first.benchmark] = one
    wanted = dict.fromkeys(item.benchmark for item in plan)
    for metric, models in by_metric.items():
        names = tuple(b for b in wanted if any(b in found for found in models.values()))
        left_out: dict[str, str] = {}
        rows: list[tuple[str, Average]] = []
        for model, found in models.items():
            if lacks := [name for name in names if name not in found]:
                left_out[model] = ", ".join(lacks)
                continue
            scores = {n: (metric, found[n].value, found[n].interval) for n in names}
            rows.append((model, statistics.macro_average(scores)))
        lower = all(
            one.runs[0].metric.higher_is_better is False
            for found in models.values()
            for one in found.values()
        )
        rows.sort(key=lambda row: (row[1].value or 0) * (1 if lower else -1))
        yield Ranking(metric, names, tuple(rows), left_out)


def _costs(run: Path, plan: Sequence[Planned], everything: Sequence[Measured]) -> Iterator[Cost]:
    try:
        gpus = {p.name: p.deployment.serving.gpus for p in Plan.all(run)}
    except EvaluationError:
        gpus = {}
    for model in dict.fromkeys(item.model for item in plan):
        mine = [one for one in everything if one.model == model]
        usage = [adapter(one.record.adapter).usage(one.directory.artifacts) for one in mine]
        served = model in gpus
        yield Cost(
            model,
            len(mine),
            _sum([_size(one) for one in mine]),
            _sum([each.requests for each in usage]),
            _sum([each.prompt_tokens for each in usage]),
            _sum([each.completion_tokens for each in usage]),
            sum(one.record.seconds for one in mine),
            gpus[model] * _busy(mine) / 3600 if served else None,
            len(list((run / model / "deployment").glob("server-*.log"))) if served else None,
        )


def _size(one: Measured) -> int | None:
    """How many samples an evaluation has, where that is known."""
    if one.metric.n is not None or one.scores is None:
        return one.metric.n
    return int(one.scores.values.size)


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _busy(ran: Sequence[Measured]) -> float:
    """The seconds in which at least one of the evaluations ran."""
    spans = sorted(
        (datetime.fromisoformat(one.record.started), datetime.fromisoformat(one.record.finished))
        for one in ran
    )
    total, until = 0.0, None
    for start, end in spans:
        begins = start if until is None else max(start, until)
        total += max(0.0, (end - begins).total_seconds())
        until = end if until is None else max(until, end)
    return total


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a report without it is still one
    return data if isinstance(data, dict) else {}


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    cut = len(text) - MAX_CONFIG_CHARACTERS
    return text if cut <= 0 else f"{text[:MAX_CONFIG_CHARACTERS]}\n… and {cut:,} more characters"
