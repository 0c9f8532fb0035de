"""The ``models`` section: endpoints that exist and deployments that snakeval serves."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from snakeval.catalogue import plugins
from snakeval.config.execution import Execution
from snakeval.config.lepton import LeptonEndpoint
from snakeval.config.types import (
    Mount,
    PathText,
    RuntimeName,
    Strict,
    Variable,
    env_names,
    or_installed,
)


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


Kind = Annotated[
    Literal["vllm", "sglang", "nim", "trtllm", "llamacpp", "generic"],
    or_installed(plugins.DEPLOYMENTS),
]


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

    _list_of_names = field_validator("env", mode="before")(env_names)

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
