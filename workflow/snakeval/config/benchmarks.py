"""Defines the ``benchmarks`` section: tasks, their parameters, and where their scores are."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import PurePath
from typing import Annotated, ClassVar, Literal

import jmespath
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from snakeval.config.alert import Alert
from snakeval.config.endpoints import EndpointType
from snakeval.config.execution import Execution
from snakeval.config.health import Health
from snakeval.config.ledger import LedgerMode
from snakeval.config.types import Mount, PathText, Plain, Resources, Strict, Variable, env_names


class Params(Strict):
    """Parameters of an evaluation. A parameter that is not set comes from the layer below."""

    unknown_hint: ClassVar[str] = "write extra: {{{key}: …}} for a parameter of the harness"

    limit_samples: PositiveInt | None = Field(
        default=None,
        lt=2**53,
        description="number of samples to evaluate, from the first; null = all",
    )
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_new_tokens: PositiveInt | None = Field(default=None, description="tokens per answer")
    seed: int | None = Field(
        default=None, ge=0, lt=2**31, description="seed of sampling; null = the harness's default"
    )
    parallelism: PositiveInt | Literal["auto"] = Field(
        default="auto",
        description="requests in flight at once; auto = as many as the endpoint allows",
    )
    request_timeout: PositiveInt = Field(default=300, description="seconds for one request")
    max_retries: int = Field(default=5, ge=0, description="retries of a failed request")
    task: str | None = Field(
        default=None, description="the task's name inside the harness, if it differs"
    )
    extra: Plain = Field(
        default_factory=dict, description="the harness's own parameters, passed unchanged"
    )

    @field_validator("limit_samples", mode="before")
    @classmethod
    def _samples(cls, value: object) -> object:
        # Some harnesses read 0.1 as 10 % and others as 0 samples; 1.0 would be ambiguous.
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
            found = jmespath.compile(value)
            with suppress(jmespath.exceptions.JMESPathError):  # of types, which other data may have
                found.search({})
    except RecursionError:
        raise PydanticCustomError(
            "jmespath", "has too many parts or brackets; shorten it"
        ) from None
    except jmespath.exceptions.JMESPathError as error:
        raise PydanticCustomError(
            "jmespath",
            "is not a JMESPath: {why}; correct it",
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
            "is not a path or pattern below the artifacts; write one such as *.json",
        )
    return value


class MetricPath(Strict):
    """The place of one metric in a results file, as JMESPath (https://jmespath.org)."""

    value: JMESPath
    stderr: JMESPath | None = None
    n: JMESPath | None = None
    higher_is_better: bool = True


def _shorthand(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class SamplesFile(Strict):
    """The log of samples that a generic command writes. The fingerprint excludes it."""

    file: str = Field(description="path or glob below the artifacts; the newest match counts")
    format: Literal["jsonl", "json", "yaml", "csv"] | None = Field(
        default=None, description="null = by the file's ending"
    )
    items: JMESPath | None = Field(default=None, description="the list of samples in JSON or YAML")
    id: JMESPath | None = Field(
        default=None, description="the id of a sample; null = its number in the list"
    )
    scores: dict[str, JMESPath] = Field(
        min_length=1, description="metric of `values` -> the score of a sample"
    )
    question: JMESPath | None = None
    answer: JMESPath | None = None
    reference: JMESPath | None = None
    group: JMESPath | None = Field(
        default=None, description="the value that dependent samples share"
    )

    _file = field_validator("file")(_below_the_artifacts)


class MetricsFile(Strict):
    """The file of metrics that a generic command writes."""

    file: str = Field(description="path or glob below the artifacts; the newest match counts")
    format: Literal["json", "yaml", "csv"] | None = Field(
        default=None, description="null = by the file's ending"
    )
    values: dict[str, Annotated[MetricPath, BeforeValidator(_shorthand)]] = Field(min_length=1)

    samples: SamplesFile | None = Field(
        default=None, description="the log of each sample, for intervals and the report"
    )

    _file = field_validator("file")(_below_the_artifacts)


class LoggedSamples(Strict):
    """Facts about the samples that lm-evaluation-harness logs. They change no score."""

    group: JMESPath = Field(
        description="the value, in an item of the data set, that dependent items share"
    )


class Benchmark(Strict):
    """One task with its parameters: a task of the catalogue, or a custom one."""

    task: str | None = Field(
        default=None, description="task of the catalogue; null = the benchmark's name"
    )
    harness: str | None = Field(default=None, description="a harness of the catalogue, or generic")
    image: str | None = Field(
        default=None, min_length=1, description="container image; null = the catalogue's"
    )
    endpoint_types: tuple[EndpointType, ...] | None = Field(default=None, min_length=1)
    params: Params = Params()
    per_model: dict[str, Params] = Field(default_factory=dict)
    repeats: int = Field(
        default=1,
        ge=1,
        le=100,
        description="number of evaluations, each with another seed",
    )
    files: PathText | None = Field(
        default=None,
        description="directory that defines the benchmark (task files, data); it is the read-only "
        "working directory, and its content is part of the fingerprint",
    )
    mounts: tuple[Mount, ...] = ()
    env: dict[Variable, Variable] = Field(
        default_factory=dict,
        description="the harness's environment variables: name in the container -> name here",
    )
    set_env: dict[Variable, str] = Field(
        default_factory=dict,
        description="the harness's environment variables with values that are not secret",
    )
    resources: Resources = Resources()
    command: str | None = Field(
        default=None, description="generic: shell command, a jinja2 template"
    )
    metrics: MetricsFile | None = Field(default=None, description="generic: where metrics are")
    samples: LoggedSamples | None = Field(
        default=None, description="lm-evaluation-harness: which samples depend on each other"
    )
    requirements: tuple[str, ...] = Field(
        default=(), description="generic, runtime process: pinned packages of its environment"
    )

    auxiliary: tuple[str, ...] = Field(
        default=(), description="`auxiliary` models that the benchmark queries, such as a judge"
    )
    ledger: LedgerMode | None = Field(
        default=None, description="null = the model's or the run's; the stricter one counts"
    )
    health: Health = Field(default=Health(), description="rules that differ from the run's")
    alert: Alert | None = Field(
        default=None, description="events of a series to report, and the receiver"
    )
    execution: Execution = Field(
        default=Execution(), description="for evaluations of endpoints, each of which is a job"
    )

    _list_of_names = field_validator("env", mode="before")(env_names)

    @property
    def is_blind(self) -> bool:
        """Whether its alert waits for drops that a generic command's bare scores cannot show."""
        metrics = self.metrics
        if not (self.alert and self.alert.drop and metrics) or metrics.samples:
            return False
        return not any(each.n or each.stderr for each in metrics.values.values())
