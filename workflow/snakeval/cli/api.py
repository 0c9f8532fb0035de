"""The functions of snakeval for programs; the commands use them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from snakeval.run import target
from snakeval.run.target import Target

if TYPE_CHECKING:
    import pandas as pd


def results(wanted: str | Path) -> pd.DataFrame:
    """Return the results of a run: a row for each model, benchmark and metric.

    *wanted* is the beginning of a run's id, or its directory; ``ID/MODEL`` and
    ``ID/MODEL/BENCHMARK`` are a part of it. :func:`snakeval.results.table.table` describes the
    columns.

    Raises:
        ConfigError: there is no such run.
    """
    return frame(target.find(str(wanted)))


def frame(part: Target) -> pd.DataFrame:
    """Return the results of a run or of a part of it."""
    part.run.plan()  # a run without one fails before pandas is imported
    from snakeval.results.table import table

    found = table(part.run)
    for column, wanted in (("model", part.model), ("benchmark", part.benchmark)):
        if wanted:
            found = found[found[column] == wanted]
    return found.reset_index(drop=True)


def snakefile() -> str:
    """Return the path of snakeval's Snakefile, for ``include:`` in your own Snakefile."""
    from snakeval.cli.launch.installation import snakefile

    return str(snakefile())
