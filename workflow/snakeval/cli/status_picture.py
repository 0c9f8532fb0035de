"""The tables that ``snakeval status`` prints, once or again and again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from snakeval.cli.output import page
from snakeval.cli.status import MANY
from snakeval.evaluation.duration_text import duration_text
from snakeval.run.target import Target
from snakeval.watch.state import STATES, State
from snakeval.watch.view import View, looks, said

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

#: How many evaluations are named beside totals.
_NAMED = 20
_STYLES = {
    "done": "green", "running": "cyan", "deploying": "cyan", "waiting": "cyan",
    "failed": "red", "interrupted": "yellow", "unknown": "magenta", "skipped": "dim",
}  # fmt: skip


# --- once ---------------------------------------------------------------------------------------


def show(views: Sequence[View], everything: bool) -> None:
    """Print views once: rows, or totals of many evaluations unless *everything* is asked for."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 10_000
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(_picture(views, everything))
    page(captured.get().splitlines())


def _picture(views: Sequence[View], everything: bool) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for number, view in enumerate(views):
        entry = view.target.entry
        name = f"  {entry.name}" if entry.name else ""
        parts += [Text("")] if number else []
        parts.append(Text(f"Run {view.target.name}{name}  {entry.directory}", style="bold"))
        parts.append(Text("; ".join(part for part in (view.counts, view.who) if part)))
        parts += [Text(line[:1].upper() + line[1:]) for line in view.served]
        parts += [Text(line) for line in view.notices]
        parts += [Text(f"Budget: {', '.join(map(str, view.budget))}")] if view.budget else []
        parts += _tables(view, everything)
    return Group(*parts)


def _tables(view: View, everything: bool) -> Iterator[Any]:
    from rich.text import Text

    if everything or len(view.states) <= MANY:
        yield _rows(view.states)
        return
    yield _totals(view.states)
    telling = [s for s in view.states if s.active or s.state in ("failed", "unknown") or s.warning]
    if telling:
        yield Text("")
        yield _rows(telling[:_NAMED])
    if len(telling) > _NAMED:
        yield Text(f"and {len(telling) - _NAMED} more; --all names every evaluation")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _rows(found: Sequence[State]) -> Table | Text:
    from rich.text import Text

    rows = [(s.id, s.state, said(s), str(s.attempts or ""), _elapsed(s), _where(s)) for s in found]
    if len(rows) > MANY:  # a table that fits itself to the screen takes seconds for thousands
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return Text("\n".join(lines), no_wrap=True)
    table = _table("evaluation", "state", "", "attempts", "elapsed", "where")
    for row in rows:
        style = _STYLES.get(row[1], "")
        table.add_row(*(Text(cell, style if n == 1 else "") for n, cell in enumerate(row)))
    return table


def _totals(found: Sequence[State]) -> Table:
    counts = Counter((state.model, state.state) for state in found)
    present = [name for name in STATES if any(name == state for _, state in counts)]
    table = _table("model", *present)
    for model in dict.fromkeys(model for model, _ in counts):
        table.add_row(model, *(str(counts[model, name] or "") for name in present))
    return table


def _elapsed(state: State) -> str:
    return "" if state.elapsed is None else duration_text(state.elapsed)


def _where(state: State) -> str:
    told = not state.job or state.job in state.reason
    job = "" if told else f"{state.scheduler} job {state.job}"
    if state.pid is None:
        return state.host if state.state == "done" else job
    inside = f"container {state.container}" if state.container else ""
    return ", ".join(filter(None, [state.host, job, f"process {state.pid}", inside]))


# --- watched ------------------------------------------------------------------------------------


def watch(targets: Sequence[Target], everything: bool) -> None:
    """Look again and again until all have ended, and draw each look over the last one."""
    if not sys.stdout.isatty():
        _watch_plainly(targets)
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) as live:
        for views in looks(targets):
            # Rows that do not fit on the screen cannot be drawn over. Totals replace them.
            rows = sum(len(view.states) + len(view.endpoints) + 4 for view in views)
            picture = _picture(views, everything or rows < console.height)
            # A line of its own for the ^C that a terminal shows.
            live.update(Group(picture, Text("")), refresh=True)


def _watch_plainly(targets: Sequence[Target]) -> None:
    """A line for each change, for logs and pipes."""
    told: dict[str, str] = {}
    views: list[View] = []
    for views in looks(targets):
        for view in views:
            for notice in view.notices:
                if told.get(notice) is None:
                    told[notice] = "reported"
                    click.echo(f"{datetime.now():%H:%M:%S} {notice}")
            for endpoint in view.endpoints:
                if told.get(endpoint.name) != str(endpoint):
                    told[endpoint.name] = str(endpoint)
                    click.echo(f"{datetime.now():%H:%M:%S} {endpoint}")
            for state in view.states:
                name = f"{view.target.entry.id}/{state.id}"
                if told.get(name) != state.state:
                    told[name] = state.state
                    rest = said(state)
                    time_now = datetime.now().strftime("%H:%M:%S")
                    click.echo(f"{time_now} {name} {state.state}{': ' + rest if rest else ''}")
    for view in views:
        click.echo(f"Run {view.target.name}: {view.counts}")
