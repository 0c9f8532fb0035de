"""The configuration that a command looks into where none is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snakeval.config.config import Config

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration to look into.  [default: that of the working directory]",
)


def named(file: Path | None) -> Path | None:
    """Return *file*, or else the configuration of the working directory, if it has one."""
    from snakeval.config.usual import usual

    return file or usual()


def read(path: Path) -> Config:
    """Return the configuration in *path*, whatever its shape.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    from snakeval.config.compose import compose
    from snakeval.config.load import check
    from snakeval.config.nemo_launcher import translate
    from snakeval.series.load import Expansion

    written = check(translate(compose(path.parent, path.name), path.stem).source)
    return Expansion(waits=False)(written)[0]
