"""``snakeval ls runs``: the runs of this machine."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

from snakeval.cli.output import age, is_verbose, json_option, local_time, show, zoned
from snakeval.errors import ConfigError
from snakeval.ledger.plain_text import shortened
from snakeval.run import heads as index_heads
from snakeval.run import index
from snakeval.run.index import Entry
from snakeval.watch.counts import counts

_COLUMNS = ("id", "name", "started", "evaluations", "done", "failed", "live")
#: With -v. A directory alone is often wider than a terminal.
_DETAILS = ("total", "time", "hosts", "directory")
#: A longer name is cut, so that a row fits into 80 columns.
_NAME_LENGTH = 20
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

    How many are done is counted by their records; `snakeval status ID` looks closer. With -v, the
    list also has times, hosts and directories.

    \b
    snakeval ls runs --since 1d
    snakeval ls runs -v
    """
    entries = index.entries(since)
    rows = [_row(entry) for entry in entries]
    if not as_json:
        now = datetime.now().astimezone()
        rows = [
            {**row, **_words(row, entry, now)} for row, entry in zip(rows, entries, strict=True)
        ]
    columns = (*_COLUMNS, *(_DETAILS if is_verbose() else ()))
    show(rows, columns, as_json=as_json, empty="No run was started on this machine.")


def _row(entry: Entry) -> dict[str, object]:
    live, hosts = _live(entry)
    row: dict[str, object] = {
        "id": entry.id,
        "name": entry.name,
        "started": zoned(entry.started),
        "live": live,
        "hosts": hosts,
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


def _live(entry: Entry) -> tuple[bool | None, list[str]]:
    """Return whether something works at it, and on which hosts; None if only they know."""
    heads = index_heads.workers(entry.run)
    hosts = sorted({head.host for head in heads})
    if any(head.lives for head in heads):
        return True, hosts
    return (None if hosts else False), hosts


def _words(row: dict[str, object], entry: Entry, now: datetime) -> dict[str, object]:
    """Return the cells of a row that people read in another form than programs."""
    return {
        "evaluations": row["evaluations"] if "total" in row else "unreadable",
        "name": shortened(entry.name, _NAME_LENGTH),
        "started": age(entry.started.astimezone(), now),
        "time": local_time(entry.started),
        "live": "perhaps" if row["live"] is None else row["live"],
    }
