"""``snakeval rescore``: score the stored answers of a finished run again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snakeval.cli.env_file import env_file_option
from snakeval.cli.launch.mode import place_of, place_options
from snakeval.cli.output import json_switch
from snakeval.cli.override_option import override_option
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_names
from snakeval.cli.resume import saved_configuration
from snakeval.cli.strict_option import strict_option
from snakeval.run import target

if TYPE_CHECKING:
    from snakeval.config.config import Config
    from snakeval.config.load import Selection
    from snakeval.config.source import Source


@click.command(
    "rescore", short_help="Score the stored answers of a finished run again; no model is asked"
)
@click.argument("wanted", metavar="ID", shell_complete=target.complete)
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[MODEL/BENCHMARK]... [-- SNAKEMAKE OPTIONS]"
)
@click.option("--image", metavar="IMAGE", help="Run the harness in this image.")
@click.option(
    "--harness-version", metavar="TAG", help="Run the harness in its image with this tag."
)
@override_option("Change a value of the configuration, as for `run`.")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME",
    help="Ask this auxiliary model again, and nothing else.",
)
@click.option("--ask", is_flag=True, help="Ask the models for answers that are not stored.")
@click.option(
    "--profile",
    shell_complete=profile_names,
    help="Run with this profile.  [default: the run's last profile]",
)
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan; run nothing.")
@env_file_option
@strict_option
@preflight_option
@place_options
@json_switch
def command(
    wanted: str,
    words: tuple[str, ...],
    image: str | None,
    harness_version: str | None,
    overrides: tuple[str, ...],
    judges: tuple[str, ...],
    ask: bool,
    profile: str | None,
    dry_run: bool,
    detach: bool,
    head_on_cluster: bool,
) -> int:
    """Run the harnesses of a finished run over its stored answers, in a new run.

    No request reaches a model, no model is deployed, and the finished run does not change. A
    request without a stored answer fails the evaluation, unless --ask allows it. At the end, the
    scores are compared with those before.

    \b
    snakeval rescore 8b1a
    snakeval rescore 8b1a llama/ifeval --image registry/harness:fixed
    snakeval rescore 8b1a --harness-version 26.05
    snakeval rescore 8b1a -o benchmarks.mine.command='score.py {{ url }}'
    snakeval rescore 8b1a --judge gpt
    """
    names = list(takewhile(lambda word: not word.startswith("-"), words))
    where = place_of(dry_run, detach, head_on_cluster)
    chosen = [target.find(f"{wanted}/{name}") for name in names] or [target.find(wanted)]
    saved = saved_configuration(chosen[0].run, "`rescore` cannot read")
    from snakeval.cli.launch import launch
    from snakeval.cli.launch.again import prepare_again
    from snakeval.cli.launch.rescored import narrow
    from snakeval.config.compose import compose

    source = compose(saved.parent, saved.name, overrides)
    narrow(source, chosen, image=image, version=harness_version)
    switches = [
        f"rescore={chosen[0].entry.path.resolve()}",
        *([f"judge={','.join(judges)}"] if judges else []),
        *(["ask=true"] if ask else []),
    ]
    prepared = prepare_again(
        chosen[0].entry,
        partial(_configured, source),
        profile=profile,
        switches=switches,
        options=words[len(names) :],
        dry_run=dry_run,
    )
    return launch(prepared, where)


def _configured(
    source: Source, values: Mapping[str, Any], place: Path, plans: bool
) -> tuple[Config, Selection, Path]:
    """Return the configuration of a new run in *place*, what it selects, and its file."""
    from snakeval.config.compose import save
    from snakeval.config.load import choose

    config, selection = choose(source, values)
    if "output_dir" not in values:
        config = config.model_copy(update={"output_dir": str(place)})
    return config, selection, save(config, source.files, dry_run=plans)
