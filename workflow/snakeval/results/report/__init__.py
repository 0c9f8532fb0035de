"""Writes the report of a run, or of several: one HTML file, and its samples in scripts next to it.

:mod:`snakeval.results.report.content` has the content; ``page.html.j2``, ``page.css`` and
``page.js`` have the design. ``matrix.js`` and ``samples.js`` are the scripts of these two parts.
The file includes them, so it opens anywhere. Plots are inline SVG, and only the samples and the
choices of a reader require JavaScript. All text from a model, a data set or a harness is hostile.
jinja2 escapes it, and the scripts insert it as text only. A content security policy allows only
the page's own script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from snakeval import __version__
from snakeval.evaluation.duration_text import duration_text
from snakeval.evaluation.record import now
from snakeval.files import write_atomically
from snakeval.ledger.plain_text import visible
from snakeval.results.comparison import Compared, Measured
from snakeval.results.curves import page as curves_page
from snakeval.results.curves.points import Source
from snakeval.results.readable import score_text
from snakeval.results.report import boards
from snakeval.results.report.boards import Board
from snakeval.results.report.content import Facts, collect
from snakeval.results.report.costs import Total
from snakeval.results.report.matrix import suites
from snakeval.results.report.parts import Cell
from snakeval.results.report.samples import CHUNK, Shelves, script_json
from snakeval.results.statistics import intervals as statistics
from snakeval.results.svg.scale import Scale
from snakeval.run.directory import RunDirectory

#: The page of curves, in the folder of samples.
CURVES = "curves.html"


def write(run: RunDirectory, baselines: Sequence[Source] = ()) -> Path:
    """Write the report of *run*, which may have unfinished evaluations; return its path.

    The curves of a series of checkpoints are a page of their own, with *baselines* of other runs.
    """
    facts = _write([run], run.report, run.report_samples, baselines)
    if not facts.curves:
        run.curves.unlink(missing_ok=True)
    write_atomically(run.report_summary, render(facts, summary=True))
    return run.report


def write_several(
    runs: Sequence[RunDirectory], page: Path, baselines: Sequence[Source] = ()
) -> Path:
    """Write one report of several *runs* to *page*, with its samples in a folder next to it."""
    _write(runs, page, page.with_suffix(""), baselines)
    return page


def _write(
    runs: Sequence[RunDirectory], page: Path, folder: Path, baselines: Sequence[Source]
) -> Facts:
    shelves = Shelves(folder)
    facts = collect(runs, shelves, page, baselines)
    if facts.curves:
        curves = curves_page.render(
            facts.title, _about(facts), facts.curves, back=f"../{page.name}"
        )
        write_atomically(folder / CURVES, curves)
    write_atomically(page, render(facts))
    shelves.tidy()  # last, so that the page always has its samples
    return facts


def render(facts: Facts, *, summary: bool = False) -> str:
    """Return the page, or a *summary*, which requires neither a script nor files next to it."""
    data = script_json({} if summary else _visible(_for_the_script(facts)))
    own, policy = ("", _policy()) if summary else _script()
    total, shown = facts.samples
    axes = boards.shared_axes(_measured(facts), facts.overall)
    return page().render(
        facts=facts,
        summary=summary,
        version=__version__,
        made=now(),
        runs=_runs(facts),
        curves_address=f"{facts.samples_folder}/{CURVES}",
        css=Markup(_resource("page.css")),
        data=Markup(data),
        script=Markup(own),
        policy=policy,
        confidence=f"{statistics.CONFIDENCE:.0%}".replace("%", " %"),
        total=total,
        shown=shown,
        provenance=_provenance(facts),
        failures=[c for c in facts.cells.values() if c.status in ("failed", "pending", "skipped")],
        suites=suites(_tasks(facts)),
        lower={one.benchmark for one in _measured(facts) if one.metric.higher_is_better is False},
        averages=_averages(facts),
        rankings=list(boards.of_rankings(facts.overall, axes)),
        benchmarks={} if summary else _benchmarks(facts, axes),
    )


@cache
def page() -> jinja2.Template:
    """Return the template of the page and of its summary; it compiles once in a process."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snakeval.results.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": score_text,
        "duration": duration_text,
        "count": _count,
        "small": _small,
        "signed": _signed,
        "chance": _chance,
        "total": _total,
    }
    environment.globals |= {"count": _count, "duration": duration_text, "hours": _hours}
    return environment.get_template("page.html.j2")


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _script() -> tuple[str, str]:
    """Return the page's script and its policy; it is read once in a process."""
    own = "".join(_resource(f"{name}.js") for name in ("page", "matrix", "samples"))
    return own, _policy(own)


def _resource(name: str) -> str:
    return resources.files("snakeval.results.report").joinpath(name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """Return a content security policy: scripts by their hashes, chunks by their place."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src 'self' file: {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


# --- for the page's script -------------------------------------------------------------------


def _for_the_script(facts: Facts) -> dict[str, Any]:
    samples: dict[str, dict[str, Any]] = {}
    for (model, benchmark), cell in facts.cells.items():
        if cell.shelf:
            shelf = cell.shelf
            samples.setdefault(benchmark, {})[model] = [shelf.index, shelf.total, shelf.shown]
    return {
        "directory": facts.samples_folder,
        "chunk": CHUNK,
        "samples": samples,
        "differences": _differences(facts.compared),
    }


def _differences(compared: tuple[Compared, ...]) -> dict[str, list[list[Any]]]:
    rows: dict[str, list[list[Any]]] = {}
    for each in compared:
        d = each.difference
        rows.setdefault(each.a.benchmark, []).append(
            [
                *(each.a.model, each.b.model, d.value, d.low, d.high, each.corrected),
                *(d.n, d.left, d.right, d.higher, d.lower, d.detectable, d.note),
                each.significant,
            ]
        )
    for found in rows.values():
        found.sort(key=lambda row: (row[5] is None, row[5], -abs(row[2] or 0)))
    return rows


def _visible(data: Any) -> Any:
    """Return *data* with visible replacements for hidden characters in all its texts."""
    if isinstance(data, str):
        return visible(data)
    if isinstance(data, Mapping):
        return {visible(str(key)): _visible(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_visible(value) for value in data]
    return data


def _about(facts: Facts) -> str:
    """Return the line under the title of the page of curves."""
    names = {curve.name for figure in facts.curves for curve in figure.curves}
    models = {p.model for figure in facts.curves for curve in figure.curves for p in curve.points}
    counts = [(len(names), "series"), (len(models), "checkpoint"), (len(facts.curves), "benchmark")]
    parts = [f"{n} {what}{'s' * (n != 1 and what != 'series')}" for n, what in counts]
    return " · ".join([_runs(facts), *parts])


def _runs(facts: Facts) -> str:
    names = ", ".join(each.run for each in facts.origins)
    return f"Run{'s' * (len(facts.origins) > 1)} {names}"


# --- texts ------------------------------------------------------------------------------------


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _total(total: Total, shown: Callable[[Any], str]) -> str:
    if total.value is None:
        return "unknown"
    return ("≥ " if total.partial else "") + shown(total.value)


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if not 0 < hours < 0.01 else f"{hours:.2g}"


def _signed(value: float | None) -> str:
    text = score_text(value)
    if not any(digit in text for digit in "123456789"):
        return text.removeprefix("-")  # also what rounds to 0
    return ("+" if value and value > 0 else "") + text.replace("-", "−")


def _chance(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _measured(facts: Facts) -> list[Measured]:
    return [cell.measured for cell in facts.cells.values() if cell.measured]


def _tasks(facts: Facts) -> dict[str, str]:
    """Return the task of each benchmark; its name until an evaluation of it has finished."""
    known = {one.benchmark: str(one.record.identity.get("task") or "") for one in _measured(facts)}
    return {name: known.get(name) or name for name in facts.benchmarks}


def _averages(facts: Facts) -> dict[str, float]:
    """Return the averages of the models that have a place in the only ranking, or nothing."""
    if len(facts.rankings) != 1:
        return {}
    complete = facts.rankings[0].complete
    return {row.model: row.average.value for row in complete if row.average.value is not None}


def _benchmarks(facts: Facts, axes: Mapping[str, Scale]) -> dict[str, Board | None]:
    compared = {(c.a.benchmark, c.a.model, c.b.model): c for c in facts.compared}
    found: dict[str, list[Measured]] = {name: [] for name in facts.benchmarks}
    for one in _measured(facts):
        found[one.benchmark].append(one)
    return {
        name: boards.of_benchmark(name, measured, compared, axes)
        for name, measured in found.items()
    }


def _provenance(facts: Facts) -> list[tuple[Cell, Measured]]:
    return [(cell, cell.measured) for cell in facts.cells.values() if cell.measured]
