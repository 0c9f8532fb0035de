"""The part of a run that a user points at: ``ID``, ``ID/MODEL`` or ``ID/MODEL/BENCHMARK``.

The beginning of an id is enough if it is unique. A path of the run, or of a file or folder in the
run, also works.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from snakeval.errors import ConfigError, did_you_mean
from snakeval.run import heads, index
from snakeval.run.directory import RunDirectory
from snakeval.run.index import Entry


@dataclass(frozen=True, slots=True)
class Target:
    """A run, a model of it (``benchmark`` is empty), or an evaluation."""

    entry: Entry
    model: str = ""
    benchmark: str = ""

    @property
    def run(self) -> RunDirectory:
        """The run's directory."""
        return self.entry.run

    @property
    def name(self) -> str:
        """As a person would write it."""
        return "/".join(part for part in (self.entry.id, self.model, self.benchmark) if part)

    def covers(self, model: str, benchmark: str) -> bool:
        """Whether an evaluation of the run is meant."""
        return self.model in ("", model) and self.benchmark in ("", benchmark)


def find(text: str) -> Target:
    """Return what *text* points at.

    Raises:
        ConfigError: there is no such run, model or evaluation (the nearest are offered), or there
            are several.
    """
    entry, rest = split(text)
    if len(rest) > 2:
        raise ConfigError(f"{text}: write ID, ID/MODEL or ID/MODEL/BENCHMARK")
    target = Target(entry, *rest)
    if rest:
        _check(target, text)
    return target


def last() -> Target:
    """Return the run that was started or resumed last on this machine.

    Raises:
        ConfigError: there is none.
    """
    if not (known := index.entries()):
        raise ConfigError("no run was started on this machine yet; give the directory of a run")
    return Target(index.last_started(known))


def current() -> list[Target]:
    """Return the live runs, or the run that was started last if none is live."""
    known = index.entries()
    live = [entry for entry in known if any(head.lives for head in heads.workers(entry.run))]
    return [Target(entry) for entry in live or (known and [index.last_started(known)])]


def split(text: str) -> tuple[Entry, tuple[str, ...]]:
    """Return the run that *text* begins with, and the names after it, which may not exist.

    Raises:
        ConfigError: there is no such run, or there are several.
    """
    if not text.strip("/"):
        raise ConfigError("'': is no run's id; `snakeval ls runs` lists them")
    path = Path(text)
    for run in (path, *list(path.parents)[:2]):
        if RunDirectory(run).is_run:
            return index.find(str(run)), path.relative_to(run).parts
    name, *rest = text.rstrip("/").split("/")
    if name in _PATHS:
        raise _no_run(text)
    try:
        return index.find(name), tuple(rest)
    except ConfigError:
        if rest and Path(name).exists():
            raise _no_run(text) from None
        raise


#: A text that begins with one of these and a slash is a path, never an id.
_PATHS = ("", ".", "..")


def _no_run(path: str) -> ConfigError:
    problem = "is in no run's directory" if Path(path).exists() else "does not exist"
    return ConfigError(f"{path}: {problem}; `snakeval ls runs` lists the runs")


def _check(target: Target, text: str) -> None:
    plan = target.run.plan()
    models = {item.model for item in plan} | target.run.deployments()
    if target.model not in models:
        hint = did_you_mean(target.model, models) or f"; it has {', '.join(sorted(models)[:10])}"
        raise ConfigError(f"{text}: run {target.entry.id} has no model '{target.model}'{hint}")
    benchmarks = {item.benchmark for item in plan if item.model == target.model}
    if target.benchmark and target.benchmark not in benchmarks:
        known = f"; it has {', '.join(sorted(benchmarks)[:10])}" if benchmarks else ""
        hint = did_you_mean(target.benchmark, benchmarks) or known
        raise ConfigError(f"{text}: {target.model} has no benchmark '{target.benchmark}'{hint}")


def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Complete ids, and models and benchmarks after an id, in a shell."""
    try:
        if "/" not in typed:
            return [entry.id for entry in index.entries() if entry.id.startswith(typed)]
        entry, rest = split(typed)
        begun = typed.rpartition("/")[0]
        names = {
            f"{begun}/{item.model if len(rest) < 2 else item.benchmark}"
            for item in entry.run.plan()
            if len(rest) < 2 or item.model == rest[0]
        }
    except (ConfigError, OSError):
        return []
    return sorted(name for name in names if name.startswith(typed))
