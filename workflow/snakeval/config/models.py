"""Defines the ``models`` section: existing endpoints, and deployments that snakeval serves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from snakeval import catalogue, plugins
from snakeval.config.checkpoints import AUTO, Checkpoints, Member
from snakeval.config.endpoints import Endpoint, EndpointType
from snakeval.config.execution import Execution
from snakeval.config.health import Health
from snakeval.config.ledger import LedgerMode, Prices
from snakeval.config.lepton import LeptonEndpoint
from snakeval.config.sections import Declared, Extensible
from snakeval.config.servable import why_unservable
from snakeval.config.types import (
    Mount,
    PathText,
    RuntimeName,
    Strict,
    Variable,
    env_names,
    or_installed,
)
from snakeval.errors import ConfigError


def _usable(name: str) -> str:
    """Check that the package of an installed kind can be imported."""
    try:
        catalogue.server_kind(name)
    except ConfigError as error:
        (problem,) = error.problems
        why = {"why": f"{problem.where}: {problem.problem}", "hint": problem.hint}
        raise PydanticCustomError("unusable", "{why}", why) from None
    return name


_Kind = Literal["vllm", "sglang", "nim", "trtllm", "llamacpp", "generic"]
Kind = Annotated[
    _Kind,
    or_installed(plugins.DEPLOYMENTS, "deployment kind", *get_args(_Kind)),
    AfterValidator(_usable),
]


UrlPath = Annotated[str, Field(pattern=r"^/[^\s?#]*$")]


class ServerPaths(Strict):
    """The paths of a server that differ from the defaults of its kind."""

    chat: UrlPath | None = None
    completions: UrlPath | None = None
    embeddings: UrlPath | None = None
    models: UrlPath = "/v1/models"
    health: UrlPath | None = None


class Deployment(Extensible):
    """A model's server, which snakeval starts, shares between evaluations, and stops.

    The defaults come from its kind (``catalogue/deployments.yaml``). An executor of another package
    can also have a section of its name here; those sections are in :attr:`installed`.
    """

    #: Whether the checkpoints of a series are its weights.
    is_of_series: ClassVar[bool] = False

    @classmethod
    def declared(cls) -> Declared:
        """Return the method by which executors declare the schema of ``deployment.<name>``."""
        return "deployment_options"

    kind: Kind
    image: str | None = Field(default=None, min_length=1)
    command: str | None = Field(
        default=None,
        min_length=1,
        description="shell command that serves on {{ host }}:{{ port }}, a jinja2 template",
    )
    checkpoint_path: PathText | None = Field(default=None, description="weights on this machine")
    adapter_path: PathText | None = Field(
        default=None, description="a LoRA adapter on this machine, which is added to the weights"
    )
    swap: bool = Field(
        default=False,
        description="of a series: one server replaces its weights by those of each checkpoint",
    )
    weights_digest: Literal["whole", "stat"] = Field(
        default="whole",
        description="how snakeval identifies the weights: by their content, or by names, sizes "
        "and times of change",
    )
    hf_model_handle: str | None = Field(
        default=None, description="weights on the hub, such as org/model"
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="null = the handle, or the model's name here"
    )
    type: EndpointType = EndpointType.CHAT
    endpoints: ServerPaths = ServerPaths()
    port: int | None = Field(default=None, ge=1, le=65535, description="null = a free one")
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    data_parallel_size: PositiveInt = 1
    nodes: PositiveInt = Field(default=1, description="nodes of a Slurm job for each server")
    instances: PositiveInt = Field(default=1, description="equal servers behind one address")
    gpus: Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        description="GPUs on each node of an instance: how many, or which ([0, 1]); null = as "
        "many as the sizes require, none for generic",
    )
    extra_args: str = Field(default="", description="shell text to append to the command")
    set_env: dict[Variable, str] = Field(
        default_factory=dict, description="the server's variables with values that are not secret"
    )
    env: dict[Variable, Variable] = Field(
        default_factory=dict,
        description="the server's variables: name in the container -> name here",
    )
    mounts: tuple[Mount, ...] = ()
    shm_mb: PositiveInt | None = Field(default=None, description="size of /dev/shm in MiB")
    mem_mb: PositiveInt | None = Field(default=None, description="memory limit in MiB")
    readiness_timeout: PositiveInt = Field(
        default=1800, description="seconds until the server must be ready"
    )
    idle_timeout: PositiveInt = Field(
        default=600, description="seconds without use until the server stops"
    )
    max_restarts: int = Field(default=2, ge=0, description="restarts of a server that died")
    runtime: RuntimeName | None = Field(default=None, description="null = the run's runtime")
    lepton: LeptonEndpoint = LeptonEndpoint()

    _list_of_names = field_validator("env", mode="before")(env_names)

    @field_validator("gpus", mode="before")
    @classmethod
    def _number_or_numbers(cls, value: object) -> object:
        numbers = value if isinstance(value, (list, tuple)) else [0 if value is None else value]
        if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
            raise PydanticCustomError("gpus", "must be a number, or a list of GPUs such as [0, 1]")
        if len(set(numbers)) < len(numbers):
            raise PydanticCustomError("duplicate", "lists a GPU twice; list each GPU once")
        return value

    @field_validator("hf_model_handle")
    @classmethod
    def _handle(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\w[\w.-]*(/\w[\w.:-]*)?", value, re.ASCII):
            raise PydanticCustomError("handle", "is not a handle of a hub; write org/model")
        return value

    @field_validator("extra_args")
    @classmethod
    def _words(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            why = str(error).lower()
            raise PydanticCustomError(
                "words", "is not valid shell text: {why}; correct it", {"why": why}
            ) from None
        return value

    @model_validator(mode="after")
    def _serves_something(self) -> Self:
        problem = why_unservable(self)
        if problem:
            raise PydanticCustomError("unservable", "{why}", {"why": problem})
        return self


class SeriesDeployment(Deployment):
    """How each checkpoint of a series is served. The series adds its weights."""

    is_of_series: ClassVar[bool] = True


class SeriesEndpoint(Endpoint):
    """The endpoint that lists the checkpoints of a series. The series adds the model's id."""

    model_id: str = Field(default="", max_length=0)

    @field_validator("model_id", mode="before")
    @classmethod
    def _no_id(cls, value: object) -> object:
        raise PydanticCustomError(
            "one", "model_id comes from `checkpoints.pattern`; remove it, or remove checkpoints"
        )


class _OfSeries(Strict):
    """The parts of a series, of which two lack what the series adds."""

    endpoint: SeriesEndpoint | None = None
    deployment: SeriesDeployment | None = None
    checkpoints: Checkpoints


class Model(Strict):
    """A model to score: an existing endpoint, or a deployment that snakeval serves.

    A model with ``checkpoints`` is a series of models.
    """

    endpoint: Endpoint | None = None
    deployment: Deployment | None = None
    checkpoints: Checkpoints | None = Field(
        default=None, description="a series: each checkpoint is a model <name>@<step>"
    )
    member: Member | None = Field(
        default=None, description="the series of a checkpoint; snakeval writes it"
    )
    ledger: LedgerMode | None = None
    health: Health = Field(default=Health(), description="rules that differ from the run's")
    prices: Prices | None = None
    execution: Execution = Execution()

    @model_validator(mode="before")
    @classmethod
    def _series(cls, data: object) -> object:
        """Check the parts of a series without what the series adds."""
        if not isinstance(data, Mapping) or data.get("checkpoints") is None:
            return data
        given: dict[str, Any] = {k: data[k] for k in _OfSeries.model_fields if k in data}
        checked = _OfSeries.model_validate(given)
        return {**data, **{name: getattr(checked, name) for name in given}}

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.endpoint and self.deployment:
            raise PydanticCustomError("one", "has both endpoint and deployment; keep one")
        if not self.endpoint and not self.deployment:
            raise PydanticCustomError(
                "one", "has no endpoint; add endpoint: {url: …, model_id: …}, or a deployment"
            )
        if self.checkpoints and self.member:
            raise PydanticCustomError(
                "one", "has both checkpoints and member, which snakeval writes; remove member"
            )
        if self.checkpoints and self.endpoint and self.checkpoints.ready != AUTO:
            raise PydanticCustomError(
                "one",
                "checkpoints.ready is a file, but an endpoint serves the checkpoints that it "
                "lists; remove ready",
            )
        return self

    @property
    def type(self) -> EndpointType:
        """The route on which the model answers."""
        served = self.endpoint or self.deployment
        assert served is not None, "checked above"
        return served.type
