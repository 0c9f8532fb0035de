"""The typed configuration: what people write, checked strictly, with errors that say the fix.

It says *what is measured* and what a model or benchmark needs; where jobs run is the profile's.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import jmespath
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from snakeval.config.execution import PACKING, Execution
from snakeval.config.lepton import LeptonEndpoint
from snakeval.config.source import Source, merge
from snakeval.config.types import Name, PathText, Plain, Strict, Variable
from snakeval.errors import ConfigError, did_you_mean


class EndpointType(StrEnum):
    """Which OpenAI-compatible route a model answers on."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDING = "embedding"
    VLM = "vlm"


#: The route below the base URL (https://platform.openai.com/docs/api-reference); vision models
#: take their images through chat.
ROUTES = {
    EndpointType.CHAT: "/chat/completions",
    EndpointType.COMPLETIONS: "/completions",
    EndpointType.EMBEDDING: "/embeddings",
    EndpointType.VLM: "/chat/completions",
}


class Endpoint(Strict):
    """An OpenAI-compatible endpoint that exists already."""

    url: str = Field(description="base URL (…/v1), or the full URL of its route")
    model_id: str = Field(min_length=1, description="the name that the endpoint knows it by")
    type: EndpointType = EndpointType.CHAT
    api_key_name: Variable | None = Field(
        default=None, description="the environment variable that holds the API key"
    )

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        match = re.fullmatch(r"https?://([^/?#\s@]+)(/[^\s#]*)?", value)
        try:
            urlsplit(value).port  # noqa: B018  raises where it is no port
        except ValueError:
            match = None
        if not match:
            raise PydanticCustomError(
                "url", "is no http(s) URL without user name or password; write http://host:port/v1"
            )
        return value.rstrip("/")

    @property
    def route_url(self) -> str:
        """The full URL that requests go to."""
        path = ROUTES[self.type]
        base, mark, query = self.url.partition("?")
        if not any(base.endswith(route) for route in ROUTES.values()):
            base = base.rstrip("/") + path
        return base + mark + query


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


class Resources(Strict):
    """What one evaluation's container may use, and what Snakemake reserves for it."""

    cpus: PositiveInt | None = Field(default=None, description="CPU limit; null = none")
    mem_mb: PositiveInt | None = Field(default=None, description="memory limit in MiB")
    shm_mb: PositiveInt | None = Field(default=None, description="size of /dev/shm in MiB")
    gpus: int = Field(default=0, ge=0, description="GPUs that the harness itself needs")
    runtime: PositiveInt | None = Field(default=None, description="minutes, for schedulers")


def _env_names(value: object) -> object:
    """A list of names is a mapping of each to itself."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


class Mount(Strict):
    """A host path made visible in the harness's container. It does not enter the fingerprint."""

    source: PathText
    target: str = Field(pattern=r"^/")
    read_only: bool = True


Kind = Literal["vllm", "sglang", "nim", "trtllm", "llamacpp", "generic"]
RuntimeName = Literal["auto", "docker", "podman", "apptainer", "pyxis", "process"]
UrlPath = Annotated[str, Field(pattern=r"^/[^\s?#]*$")]


class ServerPaths(Strict):
    """Paths of a server, where they differ from what its kind has."""

    chat: UrlPath | None = None
    completions: UrlPath | None = None
    embeddings: UrlPath | None = None
    models: UrlPath = "/v1/models"
    health: UrlPath | None = None


class Deployment(Strict):
    """A server of the model that we start, share between its evaluations, and stop.

    What is not set comes from the kind (``catalogue/deployments.yaml``).
    """

    kind: Kind
    image: str | None = Field(default=None, min_length=1)
    command: str | None = Field(
        default=None,
        min_length=1,
        description="shell command that serves on {{ host }}:{{ port }}, as jinja2",
    )
    checkpoint_path: PathText | None = Field(default=None, description="weights on this machine")
    hf_model_handle: str | None = Field(
        default=None, description="weights on the hub, such as org/model"
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="null = the handle, or else the model's name here"
    )
    type: EndpointType = EndpointType.CHAT
    endpoints: ServerPaths = ServerPaths()
    port: int | None = Field(default=None, ge=1, le=65535, description="null = a free one")
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    data_parallel_size: PositiveInt = 1
    nodes: PositiveInt = Field(default=1, description="nodes of a Slurm job that one server needs")
    instances: PositiveInt = Field(default=1, description="equal servers behind one address")
    gpus: Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        description="on each node of an instance: how many, or which ([0, 1]); null = what the "
        "sizes need, none for generic",
    )
    extra_args: str = Field(default="", description="appended to the command, as a shell reads it")
    set_env: dict[Variable, str] = Field(
        default_factory=dict, description="the server's variables with values that anybody may see"
    )
    env: dict[Variable, Variable] = Field(
        default_factory=dict, description="variables handed to the server: name there -> name here"
    )
    mounts: tuple[Mount, ...] = ()
    shm_mb: PositiveInt | None = Field(default=None, description="size of /dev/shm in MiB")
    mem_mb: PositiveInt | None = Field(default=None, description="memory limit in MiB")
    readiness_timeout: PositiveInt = Field(default=1800, description="seconds until it is ready")
    idle_timeout: PositiveInt = Field(default=600, description="seconds it is kept without use")
    max_restarts: int = Field(default=2, ge=0, description="how often a dead server starts again")
    runtime: RuntimeName | None = Field(default=None, description="null = as the run's")
    lepton: LeptonEndpoint = LeptonEndpoint()

    _list_of_names = field_validator("env", mode="before")(_env_names)

    @field_validator("gpus", mode="before")
    @classmethod
    def _number_or_numbers(cls, value: object) -> object:
        numbers = value if isinstance(value, (list, tuple)) else [0 if value is None else value]
        if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
            raise PydanticCustomError("gpus", "must be a number, or a list of GPUs such as [0, 1]")
        if len(set(numbers)) < len(numbers):
            raise PydanticCustomError("duplicate", "names a GPU twice; name each once")
        return value

    @field_validator("hf_model_handle")
    @classmethod
    def _handle(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\w[\w.-]*(/\w[\w.:-]*)?", value, re.ASCII):
            raise PydanticCustomError("handle", "is no handle of a hub; write org/model")
        return value

    @field_validator("extra_args")
    @classmethod
    def _words(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            why = str(error).lower()
            raise PydanticCustomError(
                "words", "is no part of a shell command: {why}; correct it", {"why": why}
            ) from None
        return value

    @model_validator(mode="after")
    def _serves_something(self) -> Self:
        problem = _unservable(self)
        if problem:
            raise PydanticCustomError("unservable", "{why}", {"why": problem})
        return self


def _unservable(deployment: Deployment) -> str:
    """Say what a deployment lacks, or asks of a kind that has no option for it."""
    kind, own = deployment.kind, deployment.command is not None
    if deployment.checkpoint_path and deployment.hf_model_handle:
        return "has both checkpoint_path and hf_model_handle; keep one"
    weights = deployment.checkpoint_path or deployment.hf_model_handle
    if kind in ("vllm", "sglang", "trtllm", "llamacpp") and not weights and not own:
        return f"kind {kind} needs weights; add checkpoint_path or hf_model_handle"
    if kind == "nim" and not deployment.image:
        return "kind nim needs an image, which is the model; add `image`"
    if kind == "generic" and not own and not deployment.image:
        return "kind generic needs to know what to start; add `command`, `image` or both"
    if kind in ("trtllm", "llamacpp") and deployment.data_parallel_size > 1 and not own:
        return f"kind {kind} has no data_parallel_size; take it out"
    split = deployment.tensor_parallel_size * deployment.pipeline_parallel_size
    nodes, sizes = deployment.nodes, split * deployment.data_parallel_size
    if nodes > 1 and deployment.gpus is None and kind != "generic" and sizes % nodes:
        return f"its sizes make {sizes} GPUs, which {nodes} nodes cannot share; write `gpus`"
    if nodes > 1 and not own:
        return f"kind {kind} has no command for several nodes; write `command`, as docs/deployments"
    if kind == "llamacpp" and split > 1 and not own:
        return (
            "kind llamacpp spreads over all GPUs that it gets; write `gpus` in place of "
            "tensor_parallel_size and pipeline_parallel_size"
        )
    return ""


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

    _list_of_names = field_validator("env", mode="before")(_env_names)


class Model(Strict):
    """What is scored: an endpoint that exists, or a deployment that we serve."""

    endpoint: Endpoint | None = None
    deployment: Deployment | None = None
    execution: Execution = Execution()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.endpoint and self.deployment:
            raise PydanticCustomError("one", "has both endpoint and deployment; keep one")
        if not self.endpoint and not self.deployment:
            raise PydanticCustomError(
                "one", "has no endpoint; add endpoint: {url: …, model_id: …}, or a deployment"
            )
        return self

    @property
    def type(self) -> EndpointType:
        """The route that it answers on."""
        served = self.endpoint or self.deployment
        assert served is not None, "checked above"
        return served.type


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


#: Keys of ``--config`` that choose, and are no part of the configuration.
class Selection(Strict):
    """What ``--config run=… models=… benchmarks=…`` chose for this invocation."""

    run: str | None = None
    models: tuple[str, ...] | None = None
    benchmarks: tuple[str, ...] | None = None


def load(
    files: Sequence[Path], overrides: Mapping[str, Any] | None = None
) -> tuple[Config, Selection, Source]:
    """Read, merge and check configuration files and ``--config`` values.

    ``models=a,b`` and ``benchmarks=x`` in *overrides* choose among what the files define;
    ``run=`` chooses the run. Relative paths in a file are relative to that file.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    selection, rest = _split(overrides or {})
    source = merge(files, rest)
    config = check(source)

    for kind, chosen, known in (
        ("models", selection.models, config.models),
        ("benchmarks", selection.benchmarks, config.benchmarks),
    ):
        for name in chosen or ():
            if name not in known:
                hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise ConfigError(f"--config {kind}: no '{name}' in the configuration{hint}")
    return config, selection, source


def check(source: Source) -> Config:
    """Return what *source* configures, its paths made absolute.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, source))) from None
    return _with_absolute_paths(config, source)


def _split(overrides: Mapping[str, Any]) -> tuple[Selection, dict[str, Any]]:
    """Take the choices out of ``--config`` values: a text or a list of texts is a choice."""
    rest = dict(overrides)
    chosen: dict[str, Any] = {}
    if "run" in rest:
        # An all-digit id such as 12345678, or 1e234567, arrives as a number.
        run = rest.pop("run")
        chosen["run"] = None if run is None else str(run)
    for key in ("models", "benchmarks"):
        value = rest.get(key)
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",")]
        if isinstance(value, list):
            chosen[key] = tuple(str(name) for name in value if str(name))
            del rest[key]
    return Selection(**chosen), rest


def sentences(error: ValidationError, source: Source) -> list[str]:
    """One printable line for each error, without those that only follow from another."""
    errors = error.errors(include_url=False)
    wrong = {e["loc"][:length] for e in errors for length in range(len(e["loc"]))}
    lines = [
        _sentence(item, source)
        for item in errors
        if item["type"] != "too_short" or item["loc"] not in wrong
    ]
    return [
        "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
        for line in dict.fromkeys(lines)
    ]


#: Errors that say all; to others, what stands there is added.
_WHOLE = (
    "unknown", "name", "duplicate", "variable", "url", "path", "plain", "truth", "jmespath",
    "pattern_file", "one", "unservable", "lease", "walltime", "flags",
)  # fmt: skip


def _sentence(item: ErrorDetails, source: Source) -> str:
    loc = [part for part in item["loc"] if part != "[key]"]
    if item["type"] == "variable" and loc[-2:-1] == ["env"]:
        loc.pop()  # it may be the secret itself, in place of its name
    key = ".".join(str(part) for part in loc)
    message = item["msg"]
    if item["type"] == "missing":
        missing = str(loc[-1])
        owner = ".".join(str(part) for part in loc[:-1])
        message = f"'{missing}' is missing{' in ' + owner if owner else ''}; add it"
        return f"{source.origin(loc[:-1])}: {message}"
    if item["type"] in {"dict_type", "model_type", "model_attributes_type"}:
        message = f"must hold keys and values, not {item['input']!r:.60}"
    elif item["type"] == "too_short" and key in {"models", "benchmarks"}:
        message = f"is empty; name at least one of your {key}"
    elif item["type"] == "too_short":
        message = "is empty; name at least one"
    elif item["type"] == "tuple_type":
        message = f"must be a list, not {item['input']!r:.60}"
    elif not item["type"].startswith(_WHOLE):
        message = f"{message[0].lower()}{message[1:]} (it is {item['input']!r:.60})"
    if item["type"] == "unknown_key":
        loc.append(item["ctx"]["key"])
    return f"{source.origin(loc)}: {key + ': ' if key else ''}{message}"


def _with_absolute_paths(config: Config, source: Source) -> Config:
    """Make paths that stand in a file independent of the directory that a command runs in."""
    benchmarks = {}
    for name, benchmark in config.benchmarks.items():
        changes: dict[str, Any] = {}
        if benchmark.files is not None:
            changes["files"] = _path_in(source, "benchmarks", name, "files", benchmark.files)
        if benchmark.mounts:
            changes["mounts"] = _mounts(source, ("benchmarks", name, "mounts"), benchmark.mounts)
        benchmarks[name] = benchmark.model_copy(update=changes) if changes else benchmark
    updates: dict[str, Any] = {"benchmarks": benchmarks}
    for section in ("models", "auxiliary"):
        models = dict(getattr(config, section))
        for name, model in models.items():
            if (deployment := model.deployment) is None:
                continue
            where = (section, name, "deployment")
            changes = {"mounts": _mounts(source, (*where, "mounts"), deployment.mounts)}
            if path := deployment.checkpoint_path:
                changes["checkpoint_path"] = _path_in(source, *where, "checkpoint_path", path)
            changed = deployment.model_copy(update=changes)
            models[name] = model.model_copy(update={"deployment": changed})
        updates[section] = models
    if directory := config.export.get("local", {}).get("output_dir"):
        absolute = source.base(("export", "local", "output_dir")) / Path(directory).expanduser()
        local = {**config.export["local"], "output_dir": str(absolute.resolve())}
        updates["export"] = {**config.export, "local": local}
    return config.model_copy(update=updates)


def _path_in(source: Source, *where_and_path: str) -> str:
    """Return the absolute path that stands at a key of a file."""
    *where, text = where_and_path
    path = source.base(where) / Path(text).expanduser()
    file = where[-1] != "files"  # the weights may be one file; a benchmark's files are many
    if not (path.exists() if file else path.is_dir()):
        raise ConfigError(
            f"{source.origin(where)}: {'.'.join(where)}: no "
            f"{'' if file else 'directory '}{path}; correct the path"
        )
    return str(path.resolve())


def _mounts(source: Source, where: Sequence[str], mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    resolved = []
    for mount in mounts:
        path = source.base(where) / Path(mount.source).expanduser()
        if not path.exists():
            raise ConfigError(
                f"{source.origin(where)}: {'.'.join(where)}: no {path} to mount; correct `source`"
            )
        resolved.append(mount.model_copy(update={"source": str(path.resolve())}))
    return tuple(resolved)
