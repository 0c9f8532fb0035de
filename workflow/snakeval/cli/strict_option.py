"""The option ``--strict`` of ``run``, ``resume`` and ``results``: warnings have an exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import click

from snakeval.cli.launch.mode import Place
from snakeval.errors import ConfigError
from snakeval.run.directory import RunDirectory

Command = TypeVar("Command", bound=Callable[..., Any])

#: The exit code if all is done and the health of an evaluation warns.
WARNED = 3
_KEY = "snakeval.strict"


def strict_option(command: Command) -> Command:
    """Add the option to a click command."""
    return click.option(
        "--strict",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help=f"Exit with {WARNED} if the health of an evaluation warns.",
    )(command)


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_KEY] = value


def is_strict() -> bool:
    """Whether the command that runs has the option."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_KEY))


def refuse_elsewhere(where: Place) -> None:
    """Check that the command waits for the end of its run if it is strict.

    Raises:
        ConfigError: it does not.
    """
    if is_strict() and where is not Place.HERE:
        raise ConfigError(
            f"--strict waits for the end of the run, and {where.value} does not; use `snakeval "
            "results ID --strict` when the run has ended"
        )


def code_of(
    code: int, run: RunDirectory, evaluations: Collection[tuple[str, str]], *, dry_run: bool
) -> int:
    """Return the exit code of a command whose Snakemake ended with *code*."""
    if code or dry_run or not is_strict():
        return code
    rows = run.read_table()
    if rows is None:
        from snakeval.results.table import records, table

        rows = records(table(run))
    own = (row for row in rows if (row["model"], row["benchmark"]) in evaluations)
    return WARNED if warns(own) else code


def warns(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the health of an evaluation in the rows of a table warns."""
    return any(row.get("warning") for row in rows)
