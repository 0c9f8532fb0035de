"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from snakeval.cli.flag import Flag
from snakeval.ledger.plain_text import visible

_HELP = "Print JSON for programs."

#: The option of every command that lists something.
json_option = click.option("--json", "as_json", is_flag=True, help=_HELP)
#: The same for a command that has no argument for it.
json_switch = Flag("--json", help=_HELP)
wants_json = json_switch.is_set

_QUIET = Flag("-q", "--quiet", help="Print results and errors only, no notes.")
_VERBOSE = Flag("-v", "--verbose", help="Also print details, such as Snakemake's commands.")
_NO_PAGER = Flag("--no-pager", help="Print long lists without a pager.")
is_quiet = _QUIET.is_set
is_verbose = _VERBOSE.is_set


def add_global_options(command: click.Command) -> click.Command:
    """Add the options of each command to *command*, or to the commands of a group; return it."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            add_global_options(each)
    elif not any("--no-pager" in parameter.opts for parameter in command.params):
        command.params += [flag.option() for flag in (_QUIET, _VERBOSE, _NO_PAGER)]
    return command


def note(text: str) -> None:
    """Print a note to standard error, unless ``-q`` is set."""
    if not is_quiet():
        click.echo(text, err=True)


def emit(data: object) -> None:
    """Print *data* as JSON. :mod:`snakeval.cli.schemas` has the type of each command's data."""
    click.echo(json.dumps(data, indent=1, default=str))


def emit_or_say(data: object, text: str) -> None:
    """Print *data* as JSON if ``--json`` is set, else *text*."""
    if wants_json():
        emit(data)
    else:
        click.echo(text)


def zoned(moment: datetime) -> str:
    """Return a time with the zone of this machine, for programs."""
    return moment.astimezone().isoformat(timespec="seconds")


def local_time(moment: datetime) -> str:
    """Return a time with the zone of this machine, for people."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago *moment* was, in the largest whole unit.

    >>> then = datetime(2026, 1, 2, 3, 4, 5)
    >>> [age(then, then.replace(**later)) for later in ({"second": 40}, {"minute": 7}, {"day": 4})]
    ['just now', '3 min ago', '2 days ago']
    """
    seconds = max(0.0, (now - moment).total_seconds())
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if count := int(seconds // size):
            many = "s" if unit == "day" and count != 1 else ""
            return f"{count} {unit}{many} ago"
    return "just now"


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
        emit(list(rows))
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
    page([line.rstrip() for line in captured.get().splitlines()])


def page(lines: Sequence[str]) -> None:
    """Print *lines*; in a terminal that is too low for them, in a pager.

    The pager is ``$SNAKEVAL_PAGER`` or ``$PAGER``, or else less. An empty value, ``cat`` and
    ``--no-pager`` print without one.
    """
    pager = os.environ.get("SNAKEVAL_PAGER", os.environ.get("PAGER", "less -FRX"))
    if not _NO_PAGER.is_set() and pager not in ("", "cat") and _is_too_long(len(lines)):
        import shlex
        import shutil
        import subprocess

        words = shlex.split(pager)
        if shutil.which(words[0]):
            text = "".join(f"{line}\n" for line in lines)
            subprocess.run(words, input=text, text=True, check=False)
            return
    for line in lines:
        click.echo(line)


def _is_too_long(count: int) -> bool:
    """Whether standard input and output are a terminal with fewer lines than *count*."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    lines = os.get_terminal_size(sys.stdout.fileno()).lines  # 0 if the terminal has not said it
    return 0 < lines <= count


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return visible(", ".join(map(str, value)), "")
    return visible(str(value), "")
