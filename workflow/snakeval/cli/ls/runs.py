"""``snakeval ls runs``: the runs of this machine."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from snakeval.cli.output import json_option, show
from snakeval.errors import ConfigError
from snakeval.run import heads as index_heads
from snakeval.run import index
from snakeval.run.index import Entry
from snakeval.watch.states import counts

_COLUMNS = ("id", "name", "started", "evaluations", "done", "failed", "total", "live", "directory")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _since(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> timedelta | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is no time; write 30m, 2h, 1d or 1w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command("runs", short_help="List the runs of this machine, newest first")
@click.option("--since", callback=_since, metavar="1d|2h|30m", help="Those begun no longer ago.")
@json_option
def command(since: timedelta | None, as_json: bool) -> None:
    """List the runs of this machine, newest first, whatever directory they were started in.

    How many are done is counted by their records; `snakeval status ID` looks closer.

    \b
    snakeval ls runs --since 1d
    """
    rows = [_row(entry) for entry in index.entries(since)]
    show(rows, _COLUMNS, as_json=as_json, empty="No run was started on this machine.")


def _row(entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "id": entry.id,
        "name": entry.name,
        "started": entry.started.isoformat(sep=" "),
        "live": _live(entry),
        "directory": entry.directory,
    }
    try:
        plan = [item for item in entry.run.plan() if not item.left_out]
        row |= counts(entry.run)
    except ConfigError:
        return {**row, "evaluations": "its plan cannot be read"}
    models, benchmarks = {item.model for item in plan}, {item.benchmark for item in plan}
    row |= {"models": len(models), "benchmarks": len(benchmarks)}
    return {**row, "evaluations": f"{len(models)} × {len(benchmarks)}"}


def _live(entry: Entry) -> str:
    """Whether something works at it: yes, no, or perhaps, on which host."""
    heads = index_heads.heads(entry.run)
    if any(head.lives for head in heads):
        return "yes"
    hosts = sorted({head.host for head in heads})
    return f"perhaps, on {', '.join(hosts)}" if hosts else "no"
