"""The option ``--strict`` of ``run``, ``resume`` and ``results``: warnings have an exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from snakeval.cli.flag import Flag
from snakeval.cli.launch.mode import Place
from snakeval.errors import ConfigError
from snakeval.run.directory import RunDirectory

#: The exit code if all is done and the health of an evaluation warns.
WARNED = 3
strict_option = Flag("--strict", help=f"Exit with {WARNED} if the health of an evaluation warns.")
is_strict = strict_option.is_set


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
