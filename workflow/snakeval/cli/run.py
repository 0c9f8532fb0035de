"""``snakeval run``: compose a configuration, check it, and run Snakemake on it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from snakeval.cli import api
from snakeval.cli.budget_option import budget_option, budget_pair
from snakeval.cli.env_file import env_file_option
from snakeval.cli.launch.mode import place_of, place_options
from snakeval.cli.output import json_switch, note, wants_json
from snakeval.cli.override_option import changes_option
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_option
from snakeval.cli.selection import Choice, selection_options
from snakeval.cli.strict_option import strict_option
from snakeval.errors import ConfigError


@click.command(
    "run", short_help="Run the evaluations of a configuration; the same command resumes them"
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Read this configuration.  [default: evaluation.yaml, or another of this directory]",
)
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    help="Read the configuration from this directory.",
)
@click.option("--config-name", help="Read the configuration of this name, without .yaml.")
@changes_option
@profile_option
@click.option(
    "-n", "--dry-run", is_flag=True, help="Print the whole configuration and the plan; run nothing."
)
@click.option("--check", is_flag=True, help="With --dry-run, also ask the site what it refuses.")
@click.option(
    "--update-images",
    is_flag=True,
    help="Resolve the run's images and models of a hub again; a new digest reruns evaluations.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Answer all requests from the journals; a request that is not there fails.",
)
@budget_option
@strict_option
@preflight_option
@click.option("--resume", is_flag=True, help="Resume an existing run; this is the default.")
@env_file_option
@selection_options
@place_options
@json_switch
@click.argument(
    "options", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [-- SNAKEMAKE OPTIONS]"
)
def command(
    file: Path | None,
    config_dir: Path | None,
    config_name: str | None,
    overrides: tuple[str, ...],
    profile: str | None,
    dry_run: bool,
    check: bool,
    update_images: bool,
    offline: bool,
    budget: tuple[str, ...],
    resume: bool,
    choice: Choice,
    detach: bool,
    head_on_cluster: bool,
    options: tuple[str, ...],
) -> int:
    """Evaluate: compose a configuration and run it. Run the same command again to resume.

    \b
    snakeval run my.yaml --dry-run
    snakeval run my.yaml --limit 10 -t gsm8k -t ifeval
    snakeval run my.yaml --profile slurm --dry-run --check
    snakeval run my.yaml -o params.temperature=0 -o ~benchmarks.gsm8k
    snakeval run --config-dir examples --config-name my -o +config.params.limit_samples=10
    snakeval run my.yaml --detach
    snakeval run my.yaml --profile slurm --head-on-cluster
    snakeval run my.yaml -- --cores 8 --config models=small
    """
    file, options = positional(file, options)
    _note_check(check, dry_run)
    place, name = named(file, config_dir, config_name)
    where = place_of(dry_run, detach, head_on_cluster)
    from snakeval.cli.launch import launch
    from snakeval.config.compose import compose, text

    switches = ["update_images=true"] * update_images + ["offline=true"] * offline
    options = api.with_choices(options, choice, [*switches, *budget_pair(budget)])
    source = compose(place, name, overrides)
    prepared, written = api.prepare(
        source, place / name, choice, profile=profile, options=options, dry_run=dry_run
    )
    _say(text(written) if dry_run else "", resume)
    return launch(prepared, where)


def _say(configuration: str, resume: bool) -> None:
    """Print the configuration of a dry run, and a note on an option that changes nothing."""
    if configuration:
        click.echo(configuration, err=wants_json())
        sys.stdout.flush()
    if resume:
        note("--resume is the default; finished evaluations are never rerun")


def _note_check(check: bool, dry_run: bool) -> None:
    """Let the Snakemake that this command starts ask the site."""
    if not check:
        return
    if not dry_run:
        raise ConfigError("--check asks before a run; add --dry-run")
    from snakeval.dag.planning import CHECK

    os.environ[CHECK] = "1"


def positional(file: Path | None, words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """Take the configuration's file from the first word, if it is one; return the other words.

    Raises:
        ConfigError: Snakemake would take the first word for a file to build, or there are two
            configurations.
    """
    first = words[0] if words else ""
    if "=" in first and not first.startswith("-"):
        raise ConfigError(f"{first}: write -o {first}")
    if Path(first or "-").is_dir():
        raise _directory(Path(first))
    if not first.endswith((".yaml", ".yml")):
        return file, words
    if file is not None:
        raise ConfigError(f"{first}: --config {file} is the configuration; remove one")
    return Path(first), words[1:]


def _directory(path: Path) -> ConfigError:
    """Return the error of a directory that was given as a configuration."""
    there = sorted(file.name for file in path.glob("*.y*ml"))
    hint = f"name its file, such as {path / there[0]}" if there else "name the file"
    return ConfigError("is a directory, and a configuration is a file", where=str(path), hint=hint)


def named(file: Path | None, directory: Path | None, name: str | None) -> tuple[Path, str]:
    """Return the configuration's directory and its name there."""
    from snakeval.config.usual import usual

    if file is not None and (directory or name):
        raise ConfigError("--config and --config-dir each choose a configuration; remove one")
    if file is not None and file.is_dir():
        raise _directory(file)
    if file is not None:
        return file.parent, file.name
    if name:
        return directory or Path(), name
    if directory:
        raise ConfigError(f"--config-dir {directory} chooses no file; add --config-name")
    if found := usual():
        return found.parent, found.name
    raise ConfigError("no configuration; name its file, or create one with `snakeval init`")
