"""The run of a follower: what is left to do in it, and the heads that work at it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.dag.handover import Checked, detach, offered
from snakeval.dag.invocation import Invocation
from snakeval.dag.reruns import Reruns
from snakeval.errors import ConfigError
from snakeval.run import heads
from snakeval.run.find import Run, find, reserve
from snakeval.watch.state import State
from snakeval.watch.states import states


def open_run(config: Config, choice: str | None, files: Sequence[Path]) -> Run:
    """Return the run of a configuration, and start it: no checkpoint may be ready yet.

    Raises:
        ConfigError: the output directory cannot be written, or no run fits *choice*.
        OSError: the run's directory cannot be written.
    """
    while (run := reserve(find(config, choice, files=files))) is None:
        pass  # another command has started a run meanwhile
    if not run.directory.was_started:
        run.start()
    if not run.directory.plan_file.exists():
        run.directory.write_plan(())
    return run


def is_there(path: str) -> bool:
    """Whether the directory of a checkpoint exists."""
    return Path(path).is_dir()


@dataclass(slots=True)
class HeadProcess:
    """A head that this process started. It has a session of its own, and outlives its parent."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self.process.poll()

    def interrupt(self) -> None:
        """Ask it and its jobs to end, as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class RunWork:
    """A run whose heads a follower starts.

    Attributes:
        files: the configuration's files, with which a run is found again.
        command: returns the command line of the head of a run's models, and its values of
            ``--config`` as Snakemake reads them.
        check: finds what would fail later, such as a variable that is not set.
    """

    run: Run
    configfile: Path
    files: Sequence[Path]
    selection: Selection
    command: Callable[[str, str], tuple[Sequence[str], Mapping[str, Any]]]
    check: Callable[[Invocation], object] = field(default=lambda invocation: None)

    def unfinished(self, config: Config, models: Sequence[str]) -> Collection[str]:
        """Return those of *models* that have evaluations to run, by the run's records.

        Reads no weights: a checkpoint whose digest is not kept is not finished.
        """
        try:
            left = self._left(config, models)
        except ConfigError:
            if len(models) == 1:
                return models  # its head reports the reason
            # One of them has a problem, which must not hide the results of the others.
            left = {name for each in models for name in self.unfinished(config, [each])}
        return left

    def _left(self, config: Config, models: Sequence[str]) -> set[str]:
        invocation = self._invocation(config, models)
        reruns = Reruns(invocation, head=True, force=lambda targets: None)
        chosen = invocation.selected.values()
        missing = {e.model for e in chosen if reruns.is_missing(e)}
        planned = {e.model for e in chosen}
        # A finished checkpoint that is in no plan has no row in the table.
        listed = {item.model for item in self.run.directory.plan()}
        stands = invocation.checkpoints.same_as
        sources = {name: stands.get(name, name) for name in models}
        return {
            name
            for name, source in sources.items()
            if source in missing or source not in planned or name not in listed
        }

    def lost(self, models: Collection[str]) -> Sequence[str]:
        """Return checkpoints that were ready or had a head, are none of *models*, and are gone."""
        seen = self.run.directory.read_series()
        paths = {name: each.path for name, each in seen.items() if each.stat and not each.gone}
        paths |= self.run.directory.read_waiting()
        return [n for n, path in paths.items() if n not in models and not is_there(path)]

    def note_waiting(self, config: Config, models: Sequence[str], done: Collection[str]) -> None:
        """Note the models that wait for a head, for the next follower; *done* wait no more."""
        before = self.run.directory.read_waiting().items()
        paths = {name: path for name, path in before if name not in done and is_there(path)}
        served = {name: config.models[name].deployment for name in models}
        found = {n: each.adapter_path or each.checkpoint_path for n, each in served.items() if each}
        paths |= {name: path for name, path in found.items() if path}
        with contextlib.suppress(OSError):  # a full disk; only a report is lost
            self.run.directory.write_waiting(paths)

    def why_failed(self, model: str) -> str:
        """Return why the first failed evaluation of *model* failed; empty if none did."""
        found: Sequence[State] = ()
        with contextlib.suppress(ConfigError):  # the head ended before it had a plan
            found = states(self.run.directory, only=lambda each, benchmark: each == model)
        failed = [
            f"{state.benchmark}: {state.reason}" for state in found if state.state == "failed"
        ]
        return next(iter(failed), "")

    def others(self, mine: Collection[int]) -> Sequence[frozenset[str]]:
        """Return the models of each living head whose process is none of *mine*."""
        me = os.uname().nodename
        found = []
        for head in heads.heads(self.run.directory):
            if head.host == me and head.pid in mine:
                continue
            models = head.models
            if not models and head.invocation:
                plan = self.run.directory.invocation(head.invocation).plan() or ()
                models = tuple({item.model for item in plan})
            found.append(frozenset(models))
        return found

    def start(self, config: Config, models: Sequence[str]) -> HeadProcess:
        """Start the head of some models, with the configuration that this process has checked.

        Raises:
            ConfigError: a check fails.
            OSError: the process cannot start.
        """
        self.check(self._invocation(config, models))
        argv, values = self.command(self.run.directory.name, ",".join(models))
        log = self.run.directory.head_log(models[0])
        checked = Checked((self.configfile,), values, config, self._selected(models))
        with offered(checked) as offer:
            process = detach(argv, log, offer)
        # If this process dies before the head notes itself, the next follower finds it.
        with contextlib.suppress(OSError):
            heads.announce(self.run.directory, process.pid, argv, models)
        return HeadProcess(process)

    def _invocation(self, config: Config, models: Sequence[str]) -> Invocation:
        return Invocation(config, self._selected(models), self.files, run=self.run)

    def _selected(self, models: Sequence[str]) -> Selection:
        update = {"run": self.run.directory.name, "models": tuple(models)}
        return self.selection.model_copy(update=update)
