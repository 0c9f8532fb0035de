"""Starts Snakemake for ``run`` and ``resume``, after the last checks."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from snakeval.cli import preflight_option, strict_option
from snakeval.cli.launch import outcome, snakemake_options, snakemake_process
from snakeval.cli.launch.mode import Place
from snakeval.cli.launch.plugin import Plugin
from snakeval.cli.output import is_quiet, note, wants_json
from snakeval.config.composed import composed_of, names
from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.dag.handover import NOTHING, Checked, Offer, detach, offered
from snakeval.dag.invocation import Invocation
from snakeval.dag.preflight import check
from snakeval.dag.workplace import require_workplace
from snakeval.errors import ConfigError
from snakeval.files import home, make_directory
from snakeval.run import heads, index
from snakeval.run.directory import RunDirectory
from snakeval.run.find import Run

#: How many lines to print of the log of a run that ended at once.
_LAST_WORDS = 20
#: Options of Snakemake that the command sets itself, and what the user does instead.
_OWN = {
    "configfile": "name the file with --config, before the --",
    "profile": "write --profile before the --",
    "snakefile": "remove it; snakeval has its own",
    "directory": "remove it, and start in that directory",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command whose configuration was loaded and checked, once.

    Attributes:
        configfile: the file for Snakemake that contains the configuration.
        overrides: the values of ``--config`` among *options*.
        options: for Snakemake, from the command line.
        dry_run: whether Snakemake only plans.
        snakefile: the user's own, or an empty text.
        cd: the working directory, if it is not the user's.
    """

    config: Config
    selection: Selection
    configfile: Path
    overrides: Mapping[str, Any]
    profile: str
    options: Sequence[str]
    dry_run: bool = False
    snakefile: str = ""
    cd: Path | None = None

    def without_preflight(self) -> Prepared:
        """Return the command that asks no endpoint before it starts."""
        key = preflight_option.KEY
        return replace(
            self,
            selection=self.selection.model_copy(update={key: False}),
            overrides={**self.overrides, key: False},
            options=snakemake_options.with_config(self.options, key, "false"),
        )


def refuse_own_options(given: Sequence[snakemake_options.Option]) -> None:
    """Check that no option is one that the command sets itself.

    Raises:
        ConfigError: an option is.
    """
    for option in given:
        if option.name in _OWN:
            raise ConfigError(f"-- {' '.join(option.words)}: {_OWN[option.name]}")


def launch(prepared: Prepared, where: Place) -> int:
    """Do as :func:`start` does; return only the exit code."""
    return start(prepared, where)[0]


def start(prepared: Prepared, where: Place) -> tuple[int, RunDirectory]:
    """Check all that can be checked, then run Snakemake in the working directory.

    Returns the exit code and the run's directory.

    Raises:
        ConfigError: bad input, or another Snakemake works at the run.
    """
    strict_option.refuse_elsewhere(where)
    require_workplace(starts=not prepared.dry_run)
    if preflight_option.is_off():
        prepared = prepared.without_preflight()
    configfile, config = prepared.configfile, prepared.config
    executor = Plugin.of(prepared.profile, prepared.options)
    try:
        invocation = Invocation(config, prepared.selection, composed_of(configfile))
        starts = not prepared.dry_run
        check(invocation, reads_variables=executor.reads_variables, starts=starts)
        if not prepared.dry_run:
            executor.check(config)
            _refuse_second_head(invocation.run)
            invocation = invocation.reserved(lasting=where is Place.CLUSTER)
    except ConfigError as error:
        raise error.within(names([configfile])) from None
    run, options = invocation.run, prepared.options
    if where is Place.CLUSTER and run.chosen:
        # The job may start several times, and the run is new only once.
        options = snakemake_options.with_config(options, "run", run.directory.name)
    argv = snakemake_process.command(
        configfile,
        prepared.profile,
        options,
        snakefile=prepared.snakefile,
        # The plan of a dry run is its result, and the log of a run elsewhere has everything.
        is_quiet=is_quiet() and where is Place.HERE and not prepared.dry_run,
    )
    place = f"cd {shlex.quote(str(prepared.cd))} && " if prepared.cd else ""
    note(f"{place}{shlex.join(argv)}")
    if where is Place.CLUSTER:
        return on_cluster(argv, run, config), run.directory
    selection = prepared.selection
    if not prepared.dry_run and run.chosen:
        selection = selection.model_copy(update={"run": run.directory.name})
    checked = Checked((configfile,), prepared.overrides, config, selection)
    with offered(checked) as offer:
        if where is Place.BACKGROUND:
            return in_background(argv, run, offer), run.directory
        # The command of a re-score makes another run.
        again = (
            f"run `snakeval resume {run.id}`" if invocation.rescoring else snakemake_process.SAME
        )
        code = snakemake_process.run(argv, offer, resume=again)
    selected = invocation.selected.keys()
    code = strict_option.code_of(code, run.directory, selected, dry_run=prepared.dry_run)
    outcome.report(run, code, dry_run=prepared.dry_run)
    return code, run.directory


def in_background(argv: Sequence[str], run: Run, offer: Offer = NOTHING) -> int:
    """Start the run in the background; return as soon as `status` and `kill` can find it.

    If it ends before, because it fails or has nothing to do, print the end of its log.
    """
    run_id = run.id
    log = home() / "logs" / f"{run_id}-{datetime.now():%Y-%m-%d-%H-%M-%S}.log"
    child = detach(argv, log, offer)

    def has_a_head() -> bool:
        runs = (entry.run for entry in index.entries() if entry.id == run_id)
        return any(child.pid == one.pid for run in runs for one in heads.workers(run))

    code = None
    with contextlib.suppress(KeyboardInterrupt):  # a Ctrl-C ends the wait, not the run
        code = snakemake_process.settle(child, has_a_head)
    if code is not None:
        words = log.read_text(encoding="utf-8", errors="replace").splitlines()
        click.echo("\n".join(words[-_LAST_WORDS:]), err=True)
        click.echo(f"Run {run_id} has ended already: {log}", err=True)
        outcome.report(run, code, log=log)
        return code
    outcome.report(run, 0, process=child.pid, log=log)
    _say_how_to_follow(run_id, f"continues in the background as process {child.pid}", log)
    return 0


def on_cluster(argv: Sequence[str], run: Run, config: Config) -> int:
    """Submit the run's Snakemake as a job of its own."""
    from snakeval import executors

    executor = executors.of_heads()
    directory = (home() / "logs").absolute()
    make_directory(directory)
    log = directory / f"{run.id}-{datetime.now():%Y-%m-%d-%H-%M-%S}.log"
    number = executor.submit_head(run.id, argv, log, config)
    outcome.report(run, 0, job=str(number), log=log)
    _say_how_to_follow(
        run.id, f"is {executor.title} job {number}, which continues without you", log
    )
    return 0


def _say_how_to_follow(run_id: str, what: str, log: Path) -> None:
    """Print what became of the run; with ``-q``, only its id, for scripts."""
    if wants_json():
        return
    if is_quiet():
        click.echo(run_id)
        return
    click.echo(f"Run {run_id} {what}.")
    click.echo(f"  log     {log}")
    click.echo(f"  follow  snakeval status {run_id} --watch")
    click.echo(f"  stop    snakeval kill {run_id}")


def _refuse_second_head(run: Run) -> None:
    for other in heads.heads(run.directory):
        if other.lives:
            raise ConfigError(
                f"run {run.id}: process {other.pid} already works at it; follow it with "
                f"`snakeval status {run.id} --watch`, or stop it with `snakeval kill {run.id}`"
            )
        click.echo(
            f"snakeval: process {other.pid} on {other.host} may still work at run {run.id}; "
            "both can run, and no evaluation runs twice",
            err=True,
        )
