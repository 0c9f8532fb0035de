"""The short options of ``run``: which models and benchmarks, and how many samples of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from snakeval.errors import ConfigError

if TYPE_CHECKING:
    from snakeval.config.source import Source

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Choice:
    """The models, benchmarks and samples that the short options choose; empty is everything."""

    models: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    limit: int | None = None

    def pairs(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the choice as keys and values of Snakemake's ``--config``.

        Raises:
            ConfigError: *given*, the values of ``--config``, choose as well.
        """
        found = []
        for key, names in (("models", self.models), ("benchmarks", self.benchmarks)):
            if names and key in given:
                option = f"--{key.removesuffix('s')}"
                raise ConfigError(f"{option} and --config {key}= both choose; remove one")
            if names:
                found.append((key, ",".join(names)))
        return found

    def restrict(self, source: Source) -> None:
        """Set the number of samples in *source*, also where a part of it has its own."""
        from snakeval.config.source import override

        if self.limit is None:
            return
        limit = {"limit_samples": self.limit}
        override(source, {"params": limit})
        benchmarks = source.data.get("benchmarks")
        for name, entry in benchmarks.items() if isinstance(benchmarks, dict) else ():
            for change in _changes(entry, limit):
                override(source, {"benchmarks": {name: change}})


def _changes(benchmark: Any, limit: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the changes of a benchmark that has its own number of samples."""
    own = benchmark if isinstance(benchmark, dict) else {}
    if _has(own.get("params"), limit):
        yield {"params": limit}
    models = own.get("per_model")
    for name, params in models.items() if isinstance(models, dict) else ():
        if _has(params, limit):
            yield {"per_model": {name: limit}}


def _has(params: Any, limit: Mapping[str, int]) -> bool:
    return isinstance(params, dict) and not limit.keys().isdisjoint(params)


def selection_options(command: Command) -> Command:
    """Add the options to a click command, which receives them as one *choice*."""

    @functools.wraps(command)
    def choosing(
        *, models: tuple[str, ...], benchmarks: tuple[str, ...], limit: int | None, **rest: Any
    ) -> Any:
        return command(choice=Choice(_names(models), _names(benchmarks), limit), **rest)

    result: Any = choosing
    for option in (
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help=_LIMIT),
        click.option("-t", "--benchmark", "--task", "benchmarks", **_NAMES, help=_BENCHMARK),
        click.option("--model", "models", **_NAMES, help=_MODEL),
    ):
        result = option(result)
    return cast(Command, result)


_NAMES: dict[str, Any] = {"multiple": True, "metavar": "NAME"}
_LIMIT = "Only the first N samples of each benchmark; a run with a limit is another run."
_BENCHMARK = "Only this benchmark of the configuration; repeat it for more."
_MODEL = "Only this model of the configuration; repeat it for more."


def _names(words: Sequence[str]) -> tuple[str, ...]:
    """Return names that were given one by one, or with commas between them."""
    return tuple(name for word in words for name in word.split(",") if name)
