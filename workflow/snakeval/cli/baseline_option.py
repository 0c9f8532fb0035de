"""The option ``--baseline``: models of other runs as lines in the curves of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snakeval.config.member_names import series_of
from snakeval.run import target

if TYPE_CHECKING:
    from snakeval.results.curves.points import Source

#: The option of commands that draw curves.
baseline_option = click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="ID/MODEL",
    shell_complete=target.complete,
    help="Add a model of another run to the curves, as a line; repeat it.",
)


def baseline(name: str) -> Source:
    """Return the results of a model, or of all models of a run that are no checkpoints.

    Raises:
        ConfigError: there is no such run or model.
    """
    from snakeval.results.curves import load

    part = target.find(name)

    def covers(model: str, benchmark: str) -> bool:
        return part.covers(model, benchmark) and (bool(part.model) or not series_of(model))

    return load.baseline(part.run, part.entry.id, covers)
