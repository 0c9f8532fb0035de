"""``snakeval rescore``: score the stored answers of a finished run again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakeval.cli.env_file import env_file_option
from snakeval.cli.launch.mode import place_of, place_options
from snakeval.cli.output import json_switch
from snakeval.cli.override_option import override_option
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_names
from snakeval.cli.resume import ONCE, own_snakefile, saved_configuration, working_directory
from snakeval.cli.strict_option import strict_option
from snakeval.run import target

if TYPE_CHECKING:
    from snakeval.cli.launch import Prepared
    from snakeval.config.source import Source
    from snakeval.run.index import Entry


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
    from snakeval.cli.launch.rescored import narrow
    from snakeval.config.compose import compose

    source = compose(saved.parent, saved.name, overrides)
    narrow(source, chosen, image=image, version=harness_version)
    switches = [
        f"rescore={chosen[0].entry.path.resolve()}",
        *([f"judge={','.join(judges)}"] if judges else []),
        *(["ask=true"] if ask else []),
    ]
    options = [*words[len(names) :], *(["--dry-run"] if dry_run else [])]
    return launch(_prepared(chosen[0].entry, source, profile, switches, options), where)


def _prepared(
    entry: Entry,
    source: Source,
    profile: str | None,
    switches: Sequence[str],
    options: Sequence[str],
) -> Prepared:
    """Return the command of a new run beside that of *entry*, with its former options.

    *switches* are values of ``--config``, and *options* are Snakemake's.
    """
    from snakeval.cli.launch import Prepared, refuse_own_options
    from snakeval.cli.launch import snakemake_options as snakemake
    from snakeval.cli.launch.installation import find_profile, is_profile
    from snakeval.config.compose import save
    from snakeval.config.load import choose

    refuse_own_options(given := snakemake.split(options))
    started_in, here = working_directory(entry), Path.cwd()
    if profile and is_profile(here / Path(profile).expanduser()):
        profile = str((here / Path(profile).expanduser()).absolute())
    os.chdir(started_in)
    former = snakemake.split(entry.command[1:])
    pairs = [*switches, *snakemake.values(given, "config")]
    values = snakemake.parsed(pairs)
    config, selection = choose(source, values)
    if "output_dir" not in values:
        config = config.model_copy(update={"output_dir": str(entry.path.resolve().parent)})
    kept = snakemake.without(former, ONCE | {option.name for option in given})
    plans = any(option.name == "dryrun" for option in given)
    return Prepared(
        config,
        selection,
        save(config, source.files, dry_run=plans),
        values,
        find_profile(profile or (snakemake.values(former, "profile") or ["local"])[-1]),
        [*kept, *snakemake.without(given, {"config"}), "--config", *pairs],
        plans,
        own_snakefile(snakemake.values(former, "snakefile")),
        started_in if started_in != here else None,
    )
