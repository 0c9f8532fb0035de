"""``snakeval follow``: evaluates the checkpoints of a training as they become ready."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from snakeval.cli.env_file import env_file_option
from snakeval.cli.launch.mode import place_of, place_options
from snakeval.cli.output import json_switch
from snakeval.cli.override_option import changes_option
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_option
from snakeval.cli.run import named, positional
from snakeval.cli.selection import Choice, selection_options
from snakeval.errors import ConfigError


@click.command("follow", short_help="Evaluate the checkpoints of a training as they become ready")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Read this configuration.  [default: evaluation.yaml, or another of this directory]",
)
@changes_option
@profile_option
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="N",
    help="Evaluate N checkpoints side by side.  [default: follow.slots, or 1]",
)
@click.option(
    "--until",
    default="",
    metavar="END",
    help="End at a time (2026-12-24T18:00, 18:00), after a duration (12h), or with a step (20000).",
)
@click.option(
    "--until-file",
    type=click.Path(path_type=Path),
    help="End when this file exists and each ready checkpoint is done.  [default: follow.end]",
)
@preflight_option
@env_file_option
@selection_options
@place_options
@json_switch
@click.argument(
    "options", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [-- SNAKEMAKE OPTIONS]"
)
def command(
    file: Path | None,
    overrides: tuple[str, ...],
    profile: str | None,
    slots: int | None,
    until: str,
    until_file: Path | None,
    choice: Choice,
    detach: bool,
    head_on_cluster: bool,
    options: tuple[str, ...],
) -> int:
    """Watch the series of a configuration, and evaluate each checkpoint that is ready.

    The newest ready checkpoint is the next to start. Run the same command again to continue.

    \b
    snakeval follow my.yaml
    snakeval follow my.yaml --slots 4 --until-file /train/run7/END
    snakeval follow my.yaml --profile slurm --head-on-cluster
    snakeval follow my.yaml --detach --until 20000
    """
    file, options = positional(file, options)
    place, name = named(file, None, None)
    where = place_of(False, detach, head_on_cluster)
    from snakeval.cli import api, preflight_option
    from snakeval.config.compose import compose
    from snakeval.follow.until import Until

    end = Until.read(until, until_file.absolute() if until_file else None, datetime.now())
    switches = [f"{preflight_option.KEY}=false"] if preflight_option.is_off() else []
    options = api.with_choices(options, choice, switches)
    prepared, written = api.prepare(
        compose(place, name, overrides),
        place / name,
        choice,
        profile=profile,
        options=options,
        dry_run=False,
        expands=False,
    )
    if not any(model.checkpoints for model in written.models.values()):
        raise ConfigError(
            "no model has `checkpoints`, so there is nothing to follow",
            where=str(place / name),
            hint="add models.<name>.checkpoints, or use `snakeval run`",
        )
    if end.file is None and written.follow.end:
        end = Until(end.time, end.step, Path(written.follow.end))
    from snakeval.cli.launch.follower import Following

    return Following(prepared, slots or written.follow.slots, end, sys.argv[1:]).run(where)
