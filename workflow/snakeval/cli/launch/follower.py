"""Starts a follower here, in the background, or as a job of the cluster."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from snakeval import __version__
from snakeval.cli.launch import Prepared, in_background, on_cluster, outcome, snakemake_options
from snakeval.cli.launch import snakemake_process as processes
from snakeval.cli.launch.mode import Place
from snakeval.cli.launch.plugin import Plugin
from snakeval.cli.output import wants_json
from snakeval.config.composed import composed_of, names
from snakeval.dag.endpoints import listed
from snakeval.dag.invocation import Invocation
from snakeval.dag.preflight import check
from snakeval.dag.workplace import require_workplace
from snakeval.errors import ConfigError
from snakeval.files import repair_damaged_state
from snakeval.follow.alarms import FollowedAlarms
from snakeval.follow.follower import Follower
from snakeval.follow.looks import Looks
from snakeval.follow.sight import Series
from snakeval.follow.until import Stop, Until
from snakeval.follow.watch import Watch
from snakeval.follow.watched import WatchedSeries
from snakeval.follow.work import RunWork, open_run
from snakeval.lease import Lease
from snakeval.results.alarms.look import Alarms
from snakeval.run import heads, index
from snakeval.run.directory import RunDirectory
from snakeval.run.find import Run
from snakeval.watch.states import states

_DONE, _FAILED = 0, 1
#: The effect of each signal: Ctrl-C ends the heads, and the restart of a service does not.
_SIGNALS = {
    signal.SIGINT: Stop.WITH_HEADS,
    signal.SIGHUP: Stop.WITH_HEADS,
    signal.SIGTERM: Stop.WITHOUT_HEADS,
}
#: The switches of the places where a follower works.
_PLACES = frozenset(place.value for place in Place if place.value)


@dataclass(frozen=True, slots=True)
class Following:
    """A command that follows.

    Attributes:
        words: the command's own words, with which a follower elsewhere starts.
    """

    prepared: Prepared
    slots: int
    until: Until
    words: Sequence[str]

    def run(self, where: Place) -> int:
        """Follow in the place that the user chose; return the exit code.

        Raises:
            ConfigError: bad input, or the run's directory cannot be written.
        """
        require_workplace(starts=True)
        repair_damaged_state()
        prepared = self.prepared
        try:
            plugin = Plugin.of(prepared.profile, prepared.options)
            plugin.check(prepared.config)
            files = composed_of(prepared.configfile)
            run = open_run(prepared.config, prepared.selection.run, files)
        except ConfigError as error:
            raise error.within(names([prepared.configfile])) from None
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: cannot be written ({error.strerror})",
                where="output_dir",
                hint="correct its permissions or free some space",
            ) from None
        options = snakemake_options.with_config(prepared.options, "run", run.directory.name)
        argv = processes.command(prepared.configfile, prepared.profile, options)
        place = str(run.directory.path.absolute())
        index.remember(
            index.Entry(
                run.id,
                prepared.config.name,
                place,
                str(Path.cwd()),
                tuple(argv),
                __version__,
            )
        )
        if where is not Place.HERE:
            mine = [sys.executable, "-m", "snakeval", *self._elsewhere()]
            if where is Place.CLUSTER:
                return on_cluster(mine, run, prepared.config)
            return in_background(mine, run)
        return self._follow(
            RunWork(
                run,
                prepared.configfile,
                files,
                prepared.selection,
                self._head,
                lambda invocation: _check(invocation, plugin),
            )
        )

    def _elsewhere(self) -> list[str]:
        """Return the words of the command for another process, which may start several times."""
        words = [word for word in self.words if word not in _PLACES]
        if self.until.time is None:
            return words
        # A duration counts from now, also for a job that starts again.
        end = datetime.fromtimestamp(self.until.time).isoformat(timespec="seconds")
        return [words[0], "--until", end, *_without(words[1:], "--until")]

    def _head(self, run: str, model: str) -> tuple[Sequence[str], Mapping[str, Any]]:
        """Return the command line of the head of one model, and its values of ``--config``."""
        prepared = self.prepared
        options = snakemake_options.with_config(prepared.options, "run", run)
        options = snakemake_options.with_config(options, "models", model)
        argv = processes.command(prepared.configfile, prepared.profile, options)
        return argv, snakemake_options.config(snakemake_options.split(options))

    def _follow(self, work: RunWork) -> int:
        config, run = self.prepared.config, work.run
        # Snakemake's parser takes seconds to load, for which no checkpoint must wait.
        self._head(run.directory.name, "")
        heads.enter(run.directory, sys.argv, follows=True)
        seen = run.directory.read_series().values()
        looks, watch = Looks(settled={each.path: each.stat for each in seen}), Watch()
        sights = WatchedSeries(Series(config, looks, listed), looks, watch)
        retry = config.follow.retry
        follower = Follower(sights, work, self.slots, retry, self.until, say)
        self._add_alarms(follower, run.directory)
        lease = Lease(
            run.directory.follow_lease,
            done=lambda: follower.stopped is not Stop.NO,
            waiting=lambda holder: say(
                f"{holder} already follows in run {run.id}; this follower waits for its end"
            ),
            heartbeat=config.lease.heartbeat,
            stale=config.lease.stale,
        )
        follower.is_mine = lambda: lease.acquired and not lease.is_lost
        try:
            with _signals(follower), lease:
                if lease.acquired:
                    say(f"follows {self._patterns} in run {run.id}: {run.directory}")
                is_done = follower.run()
        finally:
            watch.close()
            heads.leave(run.directory)
        if follower.stopped is not Stop.NO:
            say(_last_words(run))
        code = _DONE if is_done else _FAILED
        code = code if follower.stopped is Stop.NO else processes.INTERRUPTED
        outcome.report(run, code)
        return code

    def _add_alarms(self, follower: Follower, run: RunDirectory) -> None:
        """Let a follower report alarms, if the configuration has some."""
        config = self.prepared.config
        alarms = Alarms(run, config, say)
        if alarms.is_wanted:
            series = [name for name, model in config.models.items() if model.checkpoints]
            follower.alarms = FollowedAlarms(alarms, series, say, ended=lambda: self.until.has_file)

    @property
    def _patterns(self) -> str:
        models = self.prepared.config.models.values()
        return ", ".join(model.checkpoints.pattern for model in models if model.checkpoints)


def _check(invocation: Invocation, plugin: Plugin) -> None:
    check(invocation, reads_variables=plugin.reads_variables, starts=True)


def _last_words(run: Run) -> str:
    """Return what still works at a run after a signal has ended its follower, and what to do."""
    pids = [str(head.pid) for head in heads.heads(run.directory)]
    active = sum(state.active for state in states(run.directory))
    again = "Run the same command to continue"
    if not pids and not active:
        return f"the follower has ended, and nothing works at run {run.id}. {again}"
    works = [f"process {', '.join(pids)}"] if pids else []
    works += [f"{active} evaluation{'' if active == 1 else 's'}"] if active else []
    return (
        f"the follower has ended; {' with '.join(works)} continues. {again}. "
        f"`snakeval status {run.id}` shows it, and `snakeval kill {run.id}` ends it"
    )


def say(line: str) -> None:
    """Print a line with its time; with ``--json``, standard output is for programs."""
    click.echo(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}", err=wants_json())
    sys.stdout.flush()


def _without(words: Sequence[str], option: str) -> list[str]:
    """Return words without an option and its value."""
    kept, skips = [], False
    for word in words:
        if not skips and not word.startswith(f"{option}=") and word != option:
            kept.append(word)
        skips = word == option and not skips
    return kept


@contextmanager
def _signals(follower: Follower) -> Iterator[None]:
    """Let signals end the follower; those that are ignored (nohup) stay ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        follower.stop(_SIGNALS[signal.Signals(number)])

    wanted = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
