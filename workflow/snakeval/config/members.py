"""Checks the names of series, and of the models that they became in a saved configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from snakeval.config.benchmarks import Benchmark
from snakeval.config.checkpoints import MARK
from snakeval.config.models import Model
from snakeval.errors import nearest

if TYPE_CHECKING:
    from snakeval.config.config import Config


def check_members(models: Mapping[str, Model], auxiliary: Mapping[str, Model]) -> None:
    """Check that names with ``@`` are those of checkpoints, and that no auxiliary is a series.

    Raises:
        PydanticCustomError: a name or an auxiliary model is wrong.
    """
    for name, model in models.items():
        made = model.member.name if model.member else ""
        if made and made != name:
            raise PydanticCustomError(
                "name",
                "models.{name}.member: is of the model '{made}'; remove `member`, which snakeval "
                "writes",
                {"name": name, "made": made},
            )
        if MARK in name and not made:
            series = name.partition(MARK)[0]
            is_series = series in models and models[series].checkpoints is not None
            raise PydanticCustomError(
                "name",
                "models: '{name}' has '@', which is in names of checkpoints only; {what}",
                {
                    "name": name,
                    "what": f"remove it, since '{series}' makes a model of each checkpoint; choose "
                    f"one with --config models={name}"
                    if is_series
                    else f"rename it, or write a model '{series}' with `checkpoints`",
                },
            )
    for name, model in auxiliary.items():
        if model.checkpoints or model.member:
            raise PydanticCustomError(
                "one",
                "auxiliary.{name}: an auxiliary model is one model; remove {key}",
                {"name": name, "key": "checkpoints" if model.checkpoints else "member"},
            )


def check_params(benchmarks: Mapping[str, Benchmark], models: Mapping[str, Model]) -> None:
    """Check that the models exist for which benchmarks have parameters.

    Raises:
        PydanticCustomError: one does not.
    """
    for name, benchmark in benchmarks.items():
        for model in benchmark.per_model:
            if not is_known(model, models):
                raise PydanticCustomError(
                    "unknown_model",
                    "benchmarks.{name}.per_model: no model '{model}'",
                    {
                        "name": name,
                        "model": model,
                        "hint": nearest(model, list(models)) or "choose one of `models`",
                    },
                )


def expanded(
    config: Config, changes: Mapping[str, object], series: Mapping[str, frozenset[str]]
) -> Config:
    """Return a configuration with *changes*, by which its *series* became models.

    *series* has the models of each series that it does not want.
    """
    made = config.model_copy(update=changes)
    made._series = dict(series)
    return made


def is_known(name: str, models: Mapping[str, Model]) -> bool:
    """Whether a name is a model's, or may be one of a checkpoint of a series."""
    series, mark, _ = name.partition(MARK)
    of_series = models.get(series) if mark else None
    return name in models or bool(of_series and of_series.checkpoints)


def with_members(chosen: Iterable[str], models: Mapping[str, Model]) -> tuple[str, ...]:
    """Return the *chosen* names of models, with the checkpoints of a series in its place."""
    found: list[str] = []
    for name in chosen:
        members = [n for n, m in models.items() if m.member and m.member.series == name]
        found += members or [name]
    return tuple(dict.fromkeys(found))
