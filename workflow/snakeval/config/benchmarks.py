"""The ``benchmarks`` section: tasks, their parameters, and where their scores are."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Annotated, Literal

import jmespath
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from snakeval.config.execution import Execution
from snakeval.config.models import EndpointType
from snakeval.config.types import Mount, PathText, Plain, Resources, Strict, Variable, env_names


class Params(Strict):
    """Parameters of an evaluation. What is not set comes from the layer below."""

    limit_samples: PositiveInt | None = Field(
        default=None,
        lt=2**53,
        description="evaluate the first so many samples only; null = all",
    )
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_new_tokens: PositiveInt | None = Field(default=None, description="tokens per answer")
    seed: int | None = Field(
        default=None, ge=0, lt=2**31, description="of sampling; null = the harness's own"
    )
    parallelism: PositiveInt = Field(default=4, description="requests in flight at once")
    request_timeout: PositiveInt = Field(default=300, description="seconds for one request")
    max_retries: int = Field(default=5, ge=0, description="tries again of a failed request")
    task: str | None = Field(
        default=None, description="the task's name inside the harness, where it differs"
    )
    extra: Plain = Field(
        default_factory=dict, description="the harness's own parameters, handed on as they are"
    )

    @field_validator("limit_samples", mode="before")
    @classmethod
    def _samples(cls, value: object) -> object:
        # 0.1 means 10 % to some harnesses and nothing to others; 1.0 is the trap.
        if isinstance(value, float):
            raise PydanticCustomError("limit", "must be a whole number of samples, or null")
        return value

    @field_validator("temperature", "top_p")
    @classmethod
    def _finite(cls, value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise PydanticCustomError("finite", "must be a finite number")
        return value


def _jmespath(value: str | None) -> str | None:
    try:
        if value is not None:
            jmespath.compile(value)
    except jmespath.exceptions.JMESPathError as error:
        raise PydanticCustomError(
            "jmespath",
            "is no JMESPath: {why}; correct it",
            {"why": str(error).splitlines()[0].rstrip(":")},
        ) from None
    return value


JMESPath = Annotated[str, AfterValidator(_jmespath)]


def _below_the_artifacts(value: str) -> str:
    path = PurePath(value)
    doubled = any("**" in part and part != "**" for part in path.parts)
    if not path.parts or path.is_absolute() or ".." in path.parts or doubled:
        raise PydanticCustomError(
            "pattern_file",
            "is no path or pattern below the artifacts; write one such as *.json",
        )
    return value


class MetricPath(Strict):
    """Where one metric stands in a results file, as JMESPath (https://jmespath.org)."""

    value: JMESPath
    stderr: JMESPath | None = None
    n: JMESPath | None = None
    higher_is_better: bool = True


def _shorthand(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class SamplesFile(Strict):
    """Where a generic command logged its samples. It does not enter the fingerprint."""

    file: str = Field(description="path or glob below the artifacts; the newest match is read")
    format: Literal["jsonl", "json", "yaml", "csv"] | None = Field(
        default=None, description="by the file's ending where it is not given"
    )
    items: JMESPath | None = Field(default=None, description="the list of samples in JSON or YAML")
    id: JMESPath | None = Field(default=None, description="in a sample; null = its number")
    scores: dict[str, JMESPath] = Field(
        min_length=1, description="metric, as in `values` -> its score of a sample"
    )
    question: JMESPath | None = None
    answer: JMESPath | None = None
    reference: JMESPath | None = None
    group: JMESPath | None = Field(
        default=None, description="what samples that are not independent have in common"
    )

    _file = field_validator("file")(_below_the_artifacts)


class MetricsFile(Strict):
    """How to find metrics in what a generic command wrote."""

    file: str = Field(description="path or glob below the artifacts; the newest match is read")
    format: Literal["json", "yaml", "csv"] | None = Field(
        default=None, description="by the file's ending where it is not given"
    )
    values: dict[str, Annotated[MetricPath, BeforeValidator(_shorthand)]] = Field(min_length=1)

    samples: SamplesFile | None = Field(
        default=None, description="what it logged of each sample, for intervals and the report"
    )

    _file = field_validator("file")(_below_the_artifacts)


class LoggedSamples(Strict):
    """What is known of the samples that lm-evaluation-harness logs. It changes no score."""

    group: JMESPath = Field(
        description="in an item of the data set: what items that are not independent have in common"
    )


class Benchmark(Strict):
    """One task with its parameters: a task of the catalogue, or one of your own."""

    task: str | None = Field(
        default=None, description="task of the catalogue; where absent, the benchmark's name"
    )
    harness: str | None = Field(default=None, description="a harness of the catalogue, or generic")
    image: str | None = Field(default=None, min_length=1, description="another container image")
    endpoint_types: tuple[EndpointType, ...] | None = Field(default=None, min_length=1)
    params: Params = Params()
    per_model: dict[str, Params] = Field(default_factory=dict)
    repeats: int = Field(
        default=1,
        ge=1,
        le=100,
        description="how often it is evaluated, each time with another seed",
    )
    files: PathText | None = Field(
        default=None,
        description="directory that defines the benchmark (task files, data): mounted read-only "
        "as the working directory, and part of the fingerprint by its content",
    )
    mounts: tuple[Mount, ...] = ()
    env: dict[Variable, Variable] = Field(
        default_factory=dict,
        description="environment variables handed to the harness: its name there -> name here",
    )
    resources: Resources = Resources()
    command: str | None = Field(default=None, description="generic: shell command, as jinja2")
    metrics: MetricsFile | None = Field(default=None, description="generic: where metrics stand")
    samples: LoggedSamples | None = Field(
        default=None, description="lm-evaluation-harness: which of its samples are not independent"
    )
    requirements: tuple[str, ...] = Field(
        default=(), description="generic, runtime process: pinned packages of its environment"
    )

    auxiliary: tuple[str, ...] = Field(
        default=(), description="names of `auxiliary` models that the benchmark asks, as a judge"
    )
    execution: Execution = Field(
        default=Execution(), description="of its evaluations of endpoints, each a job of its own"
    )

    _list_of_names = field_validator("env", mode="before")(env_names)
