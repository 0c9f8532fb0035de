"""``snakeval curve``: the scores of the checkpoints of a training, in the terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import click

from snakeval.cli.baseline_option import baseline, baseline_option
from snakeval.cli.output import json_switch, page, show, wants_json
from snakeval.config.member_names import series_of
from snakeval.errors import ConfigError, did_you_mean
from snakeval.run import alarms, index, target
from snakeval.run.directory import RunDirectory
from snakeval.run.index import Entry

if TYPE_CHECKING:
    from snakeval.results.curves.points import Figure, Source


@click.command("curve", short_help="Draw the scores of the checkpoints of a training")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=target.complete)
@click.option("-t", "--benchmark", "benchmarks", multiple=True, help="Only this one; repeat it.")
@click.option("--metric", help="Draw this metric.  [default: the main one]")
@baseline_option
@click.option("--time", "by_time", is_flag=True, help="Draw over time.  [default: over steps]")
@click.option("--csv", "as_csv", is_flag=True, help="Print all points as CSV.")
@json_switch
def command(
    names: Sequence[str],
    benchmarks: Sequence[str],
    metric: str | None,
    baselines: Sequence[str],
    by_time: bool,
    as_csv: bool,
) -> None:
    """Draw the scores of a series of checkpoints, a plot for each benchmark.

    NAME is a series, of the newest run that has it, or a run (ID), or a series of a run
    (ID/SERIES). Models of no series are baselines. With one benchmark, a table of all steps
    follows.

    \b
    snakeval curve run7
    snakeval curve run7 run6 -t gsm8k --baseline 77fe/base
    snakeval curve 8b1a --csv > curves.csv
    """
    if as_csv and wants_json():
        raise ConfigError("--csv and --json: give one")
    sources, runs = _sources(names)
    sources += [baseline(name) for name in dict.fromkeys(baselines)]
    figures = _chosen(sources, benchmarks, metric)
    from snakeval.results.curves import rows

    if wants_json():
        click.echo(json.dumps(rows.rows(figures), indent=1, allow_nan=False))
    elif as_csv:
        import pandas as pd

        from snakeval.results.readable import to_csv

        frame = pd.DataFrame(rows.rows(figures), columns=list(rows.COLUMNS))
        click.echo(to_csv(frame.astype({"n": "Int64"})), nl=False)
    else:
        _draw(figures, by_time)
        for line in (line for run in runs for line in alarms.recent(run.alarms)):
            click.echo(line)


def _draw(figures: Sequence[Figure], by_time: bool) -> None:
    from snakeval.results.curves import rows, terminal

    width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for figure in figures:
        lines += [*terminal.draw(figure, width, by_time=by_time), ""]
    if _needs_ascii(lines):
        lines = [terminal.plain(line) for line in lines]
    page(lines[:-1])
    if len(figures) == 1:
        click.echo()
        found = rows.table(figures[0])
        show(found, list(found[0]), as_json=False)


def _needs_ascii(lines: Sequence[str]) -> bool:
    """Whether the terminal cannot show the characters of a plot."""
    try:
        "".join(lines).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _chosen(
    sources: Sequence[Source], benchmarks: Sequence[str], metric: str | None
) -> list[Figure]:
    """Return the figures of the wanted benchmarks and metric.

    Raises:
        ConfigError: there is none.
    """
    from snakeval.results.curves.grouping import figures

    found = figures(sources, all_metrics=metric is not None)
    for wanted in benchmarks:
        known = {figure.benchmark for figure in found}
        if wanted not in known:
            hint = did_you_mean(wanted, known) or f"; there are {', '.join(sorted(known)[:10])}"
            raise ConfigError(f"no curve has the benchmark '{wanted}'{hint}")
    found = [figure for figure in found if not benchmarks or figure.benchmark in benchmarks]
    if metric is not None:
        known = {figure.metric for figure in found if figure.metric}
        found = [figure for figure in found if figure.metric == metric]
        if not found:
            hint = did_you_mean(metric, known) or f"; there are {', '.join(sorted(known)[:10])}"
            raise ConfigError(f"no curve has the metric '{metric}'{hint}")
    return found


def _sources(names: Sequence[str]) -> tuple[list[Source], list[RunDirectory]]:
    """Return the results of each run that *names* point at, with all or some of its series.

    The runs themselves come second.

    Raises:
        ConfigError: there is no such series or run.
    """
    from snakeval.results.curves import load

    entries: dict[str, Entry] = {}
    wanted: dict[str, set[str]] = {}
    for name in names:
        entry, rest = _find(name)
        entries[entry.directory] = entry
        known = _series(item.model for item in entry.run.plan())
        known |= _series(entry.run.fingerprints())
        if not known:
            raise ConfigError(f"{name}: run {entry.id} has no series of checkpoints")
        if rest and rest[0] not in known:
            hint = did_you_mean(rest[0], known) or f"; it has {', '.join(sorted(known)[:10])}"
            raise ConfigError(f"{name}: run {entry.id} has no series '{rest[0]}'{hint}")
        wanted.setdefault(entry.directory, set()).update(rest[:1] or known)
    sources = [
        load.source(entry.run, entry.id, covers=_covers(wanted[directory]))
        for directory, entry in entries.items()
    ]
    return sources, [entry.run for entry in entries.values()]


def _covers(series: set[str]) -> Callable[[str, str], bool]:
    """Return what accepts the checkpoints of *series*, and models of no series."""
    return lambda model, benchmark: series_of(model) in {"", *series}


def _series(names: Iterable[str]) -> set[str]:
    """Return the series in the names of models or evaluations."""
    return {series_of(name) for name in names} - {""}


def _find(name: str) -> tuple[Entry, tuple[str, ...]]:
    """Return a run, and its series if one is named.

    Raises:
        ConfigError: no run and no series has the name.
    """
    if "/" not in name:
        for entry in index.entries():
            if name in _series(_models(entry)):
                return entry, (name,)
    try:
        entry, rest = target.split(name)
    except ConfigError as error:
        raise ConfigError(f"{error}; no run has a series of this name either") from None
    if len(rest) > 1:
        raise ConfigError(f"{name}: write a series, ID or ID/SERIES")
    return entry, rest


def _models(entry: Entry) -> list[str]:
    try:
        return [item.model for item in entry.run.plan()]
    except (ConfigError, OSError):
        return []  # partly deleted; other runs may have the series
