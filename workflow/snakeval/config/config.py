"""Defines the typed configuration, checks it strictly, and suggests a fix in each error.

The configuration describes *what snakeval measures* and what models and benchmarks require.
Snakemake profiles describe where jobs run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from snakeval.config.benchmarks import Benchmark, Params
from snakeval.config.checkpoints import ModelName
from snakeval.config.execution import PACKING, Execution
from snakeval.config.follow import Follow
from snakeval.config.health import Health
from snakeval.config.ledger import LedgerMode, OptionalBudget
from snakeval.config.members import check_members, check_params
from snakeval.config.models import Model
from snakeval.config.types import (
    Name,
    PathText,
    Plain,
    Resources,
    RuntimeName,
    Strict,
    path_problem,
)
from snakeval.config.variables import VariablePattern
from snakeval.errors import nearest


class LeaseTimes(Strict):
    """The times of a lease in seconds; see :mod:`snakeval.lease`."""

    heartbeat: float = Field(default=5.0, ge=0.1, le=3600)
    stale: float = Field(
        default=45.0, le=86400, description="an attempt without a heartbeat for this long is dead"
    )

    @model_validator(mode="after")
    def _patient(self) -> Self:
        if self.stale < 3 * self.heartbeat:
            raise PydanticCustomError(
                "lease",
                "stale must be at least three times heartbeat, since slow disks delay heartbeats; "
                "raise it",
            )
        return self


class Pair(Strict):
    """A set of (model, benchmark) pairs. Names may be shell patterns (``llama-*``)."""

    model: str = "*"
    benchmark: str = "*"

    @model_validator(mode="before")
    @classmethod
    def _text(cls, data: object) -> object:
        if isinstance(data, str):
            model, slash, benchmark = data.partition("/")
            if not slash:
                raise PydanticCustomError("pair", "is not a pair; write model/benchmark")
            return {"model": model, "benchmark": benchmark}
        return data

    @property
    def explicit(self) -> bool:
        """Whether the pair is exactly one evaluation, without patterns."""
        return not any(char in self.model + self.benchmark for char in "*?[")


class Config(Strict):
    """The configuration of one run: models × benchmarks with their parameters."""

    name: Name = "evaluation"
    output_dir: PathText = "results"
    params: Params = Params()
    models: dict[ModelName, Model] = Field(min_length=1)
    auxiliary: dict[Name, Model] = Field(
        default_factory=dict, description="models that benchmarks query, but that get no scores"
    )
    benchmarks: dict[Name, Benchmark] = Field(min_length=1)
    include: tuple[Pair, ...] = ()
    exclude: tuple[Pair, ...] = ()
    runtime: RuntimeName = "auto"
    network: Literal["host", "bridge"] = "host"
    inherit: tuple[VariablePattern, ...] = Field(
        default=("*",),
        description="variables of this machine that a harness without a container inherits; names "
        "or shell patterns, of which only a name lets a secret through",
    )
    resources: Resources = Resources()
    execution: Execution = Execution()
    lease: LeaseTimes = LeaseTimes()
    ledger: LedgerMode = Field(
        default="on",
        description="on = keep each answer in a journal; memory = keep nothing; off = no gateway",
    )
    health: Health = Field(
        default=Health(), description="rules for cut, empty, refused and lost answers"
    )
    budget: OptionalBudget = Field(
        default=None, description="limits after which the run stops; null = no limit"
    )
    follow: Follow = Field(default=Follow(), description="how `snakeval follow` works")
    export: dict[str, Plain] = Field(
        default_factory=dict, description="destinations of the results -> their options"
    )
    _series: Mapping[str, frozenset[str]] | None = PrivateAttr(None)

    @field_validator("export", mode="before")
    @classmethod
    def _destinations(cls, value: object) -> object:
        """Also accept a list of destinations, and a destination without options."""
        if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
            return {name: {} for name in value}
        if isinstance(value, Mapping):
            return {name: {} if options is None else options for name, options in value.items()}
        return value

    @field_validator("export")
    @classmethod
    def _directory(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check the one option of a destination that becomes a path here."""
        local = value.get("local")
        given = local.get("output_dir") if isinstance(local, dict) else None
        if given is not None:
            problem = path_problem(given) if isinstance(given, str) else "must be a text"
            if problem:
                raise PydanticCustomError(
                    "path", "local.output_dir: {why}; write a path", {"why": problem}
                )
        return value

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _benchmark_list(cls, value: object) -> object:
        if isinstance(value, (list, tuple)):
            if not all(isinstance(name, (str, int, float, type(None))) for name in value):
                raise PydanticCustomError(
                    "list", "a list may contain names only; write a mapping NAME: {task: …}"
                )
            repeated = {str(name) for name in value if list(value).count(name) > 1}
            if repeated:
                raise PydanticCustomError(
                    "duplicate",
                    "{names} is listed twice; give each its own name: NAME: {task: …}",
                    {"names": ", ".join(sorted(repeated))},
                )
            return {name: {} for name in value}
        if isinstance(value, Mapping):
            return {name: {} if spec is None else spec for name, spec in value.items()}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_members(self.models, self.auxiliary)
        _check_directories(self)
        _check_references(self)
        _check_packing(self)
        _check_auxiliary(self)
        _check_budget(self)
        return self

    @property
    def series(self) -> Mapping[str, frozenset[str]] | None:
        """The models of each series that ``every``, ``since`` and ``until`` leave out, by series.

        None unless the series of this configuration became models in this process or its parent.
        """
        return self._series

    @property
    def keys(self) -> tuple[str, ...]:
        """The variables with the keys of all models."""
        endpoints = (model.endpoint for model in (*self.models.values(), *self.auxiliary.values()))
        return tuple(sorted({e.api_key_name for e in endpoints if e and e.api_key_name}))

    def base(self, benchmark: str) -> str:
        """Return the name in ``benchmarks`` of a benchmark or of one of its repeats."""
        return benchmark if benchmark in self.benchmarks else re.sub(r"-r\d+$", "", benchmark)


def _check_directories(config: Config) -> None:
    """Check that names differ on file systems that ignore case: each is a directory."""
    served = [*config.models, *config.auxiliary]  # each may have a directory of its deployment
    for kind, names in (("models", served), ("benchmarks", [*config.benchmarks])):
        folded: dict[str, str] = {}
        for name in names:
            other = folded.setdefault(name.casefold(), name)
            if other != name:
                raise PydanticCustomError(
                    "duplicate",
                    "{kind}: '{a}' and '{b}' differ only in case, which some file systems ignore; "
                    "rename one",
                    {"kind": kind, "a": other, "b": name},
                )


def _check_references(config: Config) -> None:
    """Check that the models which benchmarks refer to exist."""
    check_params(config.benchmarks, config.models)
    for name, benchmark in config.benchmarks.items():
        for model in benchmark.auxiliary:
            if model not in config.auxiliary:
                raise PydanticCustomError(
                    "unknown_model",
                    "benchmarks.{name}.auxiliary: no '{model}' in `auxiliary`",
                    {
                        "name": name,
                        "model": model,
                        "hint": nearest(model, list(config.auxiliary)) or "add it there",
                    },
                )


def _check_packing(config: Config) -> None:
    """Check that no benchmark sets a key that applies to whole allocations."""
    for name, benchmark in config.benchmarks.items():
        if keys := sorted(benchmark.execution.slurm.model_fields_set & PACKING):
            raise PydanticCustomError(
                "one",
                "benchmarks.{name}.execution.slurm.{key}: applies to all evaluations of a model; "
                "move it to the model or to the run",
                {"name": name, "key": keys[0]},
            )


def _check_auxiliary(config: Config) -> None:
    """Check that auxiliary models have distinct variables and no name of a model."""
    variables: dict[str, str] = {}
    for name in config.auxiliary:
        prefix = re.sub(r"\W", "_", name).upper()  # of JUDGE_URL, a variable of its benchmarks
        if prefix[0].isdigit() or variables.setdefault(prefix, name) != name:
            raise PydanticCustomError(
                "duplicate",
                "auxiliary: '{name}' sets {prefix}_URL, which is {why}; rename it",
                {
                    "name": name,
                    "prefix": prefix,
                    "why": "not a valid name of a variable"
                    if prefix[0].isdigit()
                    else f"also the variable of '{variables[prefix]}'",
                },
            )
        if name in config.models:
            raise PydanticCustomError(
                "duplicate",
                "auxiliary: '{name}' is also the name of a model; rename one",
                {"name": name},
            )


def _check_budget(config: Config) -> None:
    """Check that the ledger counts what a budget limits, in one currency."""
    models = {f"models.{name}": model for name, model in config.models.items()}
    models |= {f"auxiliary.{name}": model for name, model in config.auxiliary.items()}
    _check_currencies(models)
    if config.budget is None or not config.budget.limits:
        return
    switches: dict[str, str | None] = {"": config.ledger}
    switches |= {f"{name}.": model.ledger for name, model in models.items()}
    switches |= {f"benchmarks.{name}.": b.ledger for name, b in config.benchmarks.items()}
    if off := [name for name, switch in switches.items() if switch == "off"]:
        raise PydanticCustomError(
            "one",
            "budget: {where}ledger is off, so no request is counted; set it to memory, or remove "
            "the budget",
            {"where": off[0]},
        )
    if config.budget.money is None:
        return
    # Only what snakeval serves costs by the hour.
    absent = [n for n, m in models.items() if not m.prices or (m.endpoint and m.prices.is_hourly)]
    if absent:
        raise PydanticCustomError(
            "one", "budget.money: {n} has no prices; add {n}.prices.input", {"n": absent[0]}
        )


def _check_currencies(models: Mapping[str, Model]) -> None:
    """Check that costs can be added up."""
    found = sorted({model.prices.currency for model in models.values() if model.prices})
    if len(found) > 1:
        raise PydanticCustomError(
            "one",
            "prices: the models have prices in {all}; write them in one currency",
            {"all": " and ".join(found)},
        )
