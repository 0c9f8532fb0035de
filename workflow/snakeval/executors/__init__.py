"""Executors: where jobs run. :class:`snakeval.executors.base.Executor` says what one is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache

from snakeval import plugins
from snakeval.errors import ConfigError
from snakeval.executors.base import Executor, Report
from snakeval.files import read_list, write_if_changed
from snakeval.ledger.plain_text import visible
from snakeval.run.directory import RunDirectory


@cache
def find(name: str) -> Executor:
    """Return the executor *name*.

    Raises:
        ConfigError: there is none, or its package cannot be imported.
    """
    found: type[Executor] = plugins.load(plugins.EXECUTORS, name)
    return found()


def built_in() -> list[Executor]:
    """Return the executors that snakeval brings."""
    return [find(name) for name in plugins.BUILT_IN[plugins.EXECUTORS]]


def every() -> list[Executor]:
    """Return all executors that can be imported, also installed ones."""
    return [_found(name) for name in plugins.names(plugins.EXECUTORS)]


def of_plugin(plugin: str) -> Executor:
    """Return the executor of a Snakemake executor plugin's jobs.

    Of a plugin that none knows, the one without jobs: the run works, and `status` sees of it what
    the run's directory shows.
    """
    for executor in built_in():
        if plugin in executor.plugins:
            return executor
    try:
        return find(plugin)
    except plugins.UnknownPlugin:
        return Executor()


def of_heads() -> Executor:
    """Return the executor in which Snakemake itself can be a job.

    Raises:
        ConfigError: there is none.
    """
    for executor in built_in():
        if executor.hosts_heads:
            return executor
    raise ConfigError("no executor takes Snakemake itself as a job; use --detach")


def of_run(run: RunDirectory) -> list[Executor]:
    """Return the executors that may have something of a run.

    Built-in ones always: without notes of theirs in the run they ask nothing.
    """
    names = dict.fromkeys([*plugins.BUILT_IN[plugins.EXECUTORS], *_noted(run)])
    return [_found(name) for name in names]


def _warn(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)


def follow(run: RunDirectory, name: str, report: Report = _warn) -> Callable[[], None]:
    """Return what brings the log of an evaluation or a deployment up to date, at each call."""
    updates = [executor.follow(run, name, report) for executor in of_run(run)]

    def update() -> None:
        for each in updates:
            each()

    return update


def note(run: RunDirectory, executor: Executor) -> None:
    """Note in a run that it has jobs of *executor*, if that is not a built-in one."""
    if not executor.name or executor.name in plugins.BUILT_IN[plugins.EXECUTORS]:
        return
    write_if_changed(run.executors, json.dumps(sorted({*_noted(run), executor.name})))


def _noted(run: RunDirectory) -> list[str]:
    try:
        return [str(name) for name in read_list(run.executors) or ()]
    except (OSError, ValueError):
        return []


def _found(name: str) -> Executor:
    try:
        return find(name)
    except ConfigError as error:
        from snakeval.executors.absent import Absent

        return Absent(name, str(error))
