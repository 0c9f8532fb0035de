"""The options of ``run`` and ``resume`` that choose where Snakemake itself runs."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import click

from snakeval.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


class Place(Enum):
    """A place where Snakemake runs, by its option."""

    HERE = ""
    BACKGROUND = "--detach"
    CLUSTER = "--head-on-cluster"


def place_options(command: Command) -> Command:
    """Add the options to a click command."""
    for name, help in (
        (Place.CLUSTER.value, "Run Snakemake itself as a job of Slurm."),
        (Place.BACKGROUND.value, "Run in the background."),
    ):
        command = click.option(name, is_flag=True, help=help)(command)
    return command


def place_of(dry_run: bool, detach: bool, head_on_cluster: bool) -> Place:
    """Return the place that the options choose.

    Raises:
        ConfigError: they contradict each other.
    """
    if detach and head_on_cluster:
        raise ConfigError("choose one of --detach and --head-on-cluster")
    place = Place.CLUSTER if head_on_cluster else Place.BACKGROUND if detach else Place.HERE
    if dry_run and place is not Place.HERE:
        raise ConfigError(f"--dry-run prints the plan here; remove it or {place.value}")
    return place
