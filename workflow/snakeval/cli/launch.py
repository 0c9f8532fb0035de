"""What ``run`` and ``resume`` share: the last checks, and Snakemake in front or behind."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from snakeval import head, options, registry, runs
from snakeval.config import load
from snakeval.errors import ConfigError
from snakeval.files import home
from snakeval.snakefile import Matrix

#: Options of Snakemake that the command gives itself, and how it is told of them.
_OWN = {
    "configfile": "name the file with --config, before the --",
    "profile": "write --profile before the --",
    "snakefile": "leave it out: it is snakeval's",
    "directory": "leave it out, and start in that directory",
}


def launch(
    configfile: Path,
    profile: str,
    words: Sequence[str],
    *,
    detach: bool,
    snakefile: str = "",
    cd: Path | None = None,
) -> int:
    """Check all that can be checked, then run Snakemake in the working directory.

    *words* are options for Snakemake; *cd* is the working directory, where the user is elsewhere.

    Raises:
        ConfigError: bad input, or a head is at the run already.
    """
    given = options.split(words)
    for option in given:
        if option.name in _OWN:
            raise ConfigError(f"-- {' '.join(option.words)}: {_OWN[option.name]}")
    config, selection, _ = load([configfile], options.config(given))
    try:
        Matrix(config, selection).check()
    except ConfigError as error:
        lines = str(error).splitlines()
        raise ConfigError("\n".join(f"{configfile}: {line}" for line in lines)) from None
    run = runs.find(config, selection.run)
    if not any(option.name == "dryrun" for option in given):
        _refuse_second_head(run)
    argv = head.command(configfile, profile, words, snakefile=snakefile)
    place = f"cd {shlex.quote(str(cd))} && " if cd else ""
    click.echo(f"{place}{shlex.join(argv)}", err=True)
    if not detach:
        return head.run(argv)
    log = home() / "logs" / f"{run.id}-{datetime.now():%Y-%m-%d-%H-%M-%S}.log"
    pid = head.detach(argv, log)
    click.echo(f"Run {run.id} goes on in the background, as process {pid}.")
    click.echo(f"  log     {log}")
    click.echo(f"  follow  snakeval status {run.id} --watch")
    click.echo(f"  stop    snakeval kill {run.id}")
    return 0


def _refuse_second_head(run: runs.Run) -> None:
    for other in registry.heads(run.directory):
        if other.lives:
            raise ConfigError(
                f"run {run.id}: process {other.pid} is at it already; follow it with "
                f"`snakeval status {run.id} --watch`, or stop it with `snakeval kill {run.id}`"
            )
        click.echo(
            f"snakeval: process {other.pid} on {other.host} may still be at run {run.id}; "
            "no evaluation is done twice, whatever it does",
            err=True,
        )
