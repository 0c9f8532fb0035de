"""The typed configuration: what people write, checked strictly, with errors that say the fix.

It says *what is measured* and what a model or benchmark needs; where jobs run is the profile's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import (
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from snakeval.config.benchmarks import Benchmark, Params
from snakeval.config.execution import PACKING, Execution
from snakeval.config.models import Model
from snakeval.config.types import Name, PathText, Plain, Resources, RuntimeName, Strict
from snakeval.errors import did_you_mean


class LeaseTimes(Strict):
    """How a live attempt shows that it lives, in seconds; see :mod:`snakeval.lease`."""

    heartbeat: float = Field(default=5.0, ge=0.1, le=3600)
    stale: float = Field(default=45.0, le=86400, description="without a beat it is dead")

    @model_validator(mode="after")
    def _patient(self) -> Self:
        if self.stale < 3 * self.heartbeat:
            raise PydanticCustomError(
                "lease", "stale must be three times heartbeat at least, or a slow disk is a death"
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
                raise PydanticCustomError("pair", "is no pair; write model/benchmark")
            return {"model": model, "benchmark": benchmark}
        return data

    @property
    def explicit(self) -> bool:
        """Whether it names exactly one evaluation."""
        return not any(char in self.model + self.benchmark for char in "*?[")


class Config(Strict):
    """One run: models × benchmarks with their parameters."""

    name: Name = "evaluation"
    output_dir: PathText = "results"
    params: Params = Params()
    models: dict[Name, Model] = Field(min_length=1)
    auxiliary: dict[Name, Model] = Field(
        default_factory=dict, description="models that benchmarks ask, and nobody scores"
    )
    benchmarks: dict[Name, Benchmark] = Field(min_length=1)
    include: tuple[Pair, ...] = ()
    exclude: tuple[Pair, ...] = ()
    runtime: RuntimeName = "auto"
    network: Literal["host", "bridge"] = "host"
    resources: Resources = Resources()
    execution: Execution = Execution()
    lease: LeaseTimes = LeaseTimes()
    export: dict[str, Plain] = Field(
        default_factory=dict, description="destinations of the results -> their options"
    )

    @field_validator("export", mode="before")
    @classmethod
    def _destinations(cls, value: object) -> object:
        """A list of destinations, and one without options, will do."""
        if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
            return {name: {} for name in value}
        if isinstance(value, Mapping):
            return {name: {} if options is None else options for name, options in value.items()}
        return value

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _benchmark_list(cls, value: object) -> object:
        if isinstance(value, (list, tuple)):
            repeated = {str(name) for name in value if list(value).count(name) > 1}
            if repeated:
                raise PydanticCustomError(
                    "duplicate",
                    "{names} stands here twice; give each its own name: NAME: {task: …}",
                    {"names": ", ".join(sorted(repeated))},
                )
            if any(isinstance(name, (dict, list)) for name in value):
                raise PydanticCustomError(
                    "list", "a list may hold names only; write a mapping NAME: {task: …}"
                )
            return {name: {} for name in value}
        if isinstance(value, Mapping):
            return {name: {} if spec is None else spec for name, spec in value.items()}
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        served = [*self.models, *self.auxiliary]  # each may have a directory of its deployment
        for kind, names in (("models", served), ("benchmarks", [*self.benchmarks])):
            folded: dict[str, str] = {}
            for name in names:
                other = folded.setdefault(name.casefold(), name)
                if other != name:
                    raise PydanticCustomError(
                        "duplicate",
                        "{kind}: '{a}' and '{b}' differ in case only, which is one directory on "
                        "some file systems; rename one",
                        {"kind": kind, "a": other, "b": name},
                    )
        for name, benchmark in self.benchmarks.items():
            for model in benchmark.per_model:
                if model not in self.models:
                    raise PydanticCustomError(
                        "unknown_model",
                        "benchmarks.{name}.per_model: no model '{model}'{hint}",
                        {
                            "name": name,
                            "model": model,
                            "hint": did_you_mean(model, self.models) or "; name one of `models`",
                        },
                    )
            for model in benchmark.auxiliary:
                if model not in self.auxiliary:
                    raise PydanticCustomError(
                        "unknown_model",
                        "benchmarks.{name}.auxiliary: no '{model}' in `auxiliary`{hint}",
                        {
                            "name": name,
                            "model": model,
                            "hint": did_you_mean(model, self.auxiliary) or "; add it there",
                        },
                    )
        for name, benchmark in self.benchmarks.items():
            if keys := sorted(benchmark.execution.slurm.model_fields_set & PACKING):
                raise PydanticCustomError(
                    "one",
                    "benchmarks.{name}.execution.slurm.{key}: is said of all evaluations of a "
                    "model; move it to the model's, or to the run's",
                    {"name": name, "key": keys[0]},
                )
        variables: dict[str, str] = {}
        for name in self.auxiliary:
            prefix = re.sub(r"\W", "_", name).upper()  # of JUDGE_URL, which its benchmarks get
            if prefix[0].isdigit() or variables.setdefault(prefix, name) != name:
                raise PydanticCustomError(
                    "duplicate",
                    "auxiliary: '{name}' gives {prefix}_URL, which is {why}; rename it",
                    {
                        "name": name,
                        "prefix": prefix,
                        "why": "no name of a variable"
                        if prefix[0].isdigit()
                        else f"the variable of '{variables[prefix]}', too",
                    },
                )
            if name in self.models:
                raise PydanticCustomError(
                    "duplicate",
                    "auxiliary: '{name}' is the name of a model, too; rename one",
                    {"name": name},
                )
        return self

    def base(self, benchmark: str) -> str:
        """Return the name in ``benchmarks`` of a benchmark, or of the one that it repeats."""
        return benchmark if benchmark in self.benchmarks else re.sub(r"-r\d+$", "", benchmark)
