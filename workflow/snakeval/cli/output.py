"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import click

from snakeval.ledger.plain_text import visible

#: The option of every command that lists something.
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")

#: The option of every command that prints a table in the form that is wanted.
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(("table", "markdown", "csv", "json")),
    default="table",
    show_default=True,
    help="How it is printed.",
)


def show(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str = ""
) -> None:
    """Print *rows*: as JSON in whole, or *columns* of them as a table of visible texts.

    If the output is not a terminal, the table is as wide as its contents, so that nothing that a
    script greps for is cut. If there are no rows, it prints *empty* instead of a table.
    """
    if as_json:
        click.echo(json.dumps(list(rows), indent=1, default=str))
        return
    if not rows:
        click.echo(empty, err=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 10_000, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return visible(", ".join(map(str, value)), "")
    return visible(str(value), "")
