"""A model's server as plain data: what it serves, and how it is started here.

:class:`Definition` is what determines the scores, :class:`Serving` what does not. A
:class:`Deployment` crosses from the head to the jobs and to the pool; :func:`container` turns it
into a container once its port and its GPUs are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from snakeval.evaluation.canonical import canonical_template
from snakeval.evaluation.definition import digest
from snakeval.evaluation.plain import build
from snakeval.files import domain

#: Names the server in the environment of all its processes, whatever the runtime.
MARK = "SNAKEVAL_SERVER"
#: Seconds between SIGTERM and SIGKILL.
GRACE = 15


#: The fields of a definition in identities of format 1.
_FORMAT_1 = (
    "kind", "image", "command", "model", "checkpoint_digest", "served_model_name",
    "endpoint_type", "path", "set_env", "extra_args",
)  # fmt: skip
#: Values of :attr:`Loading.how`.
ADAPTER, SWAP = "adapter", "swap"
#: Fields that are absent if they are empty.
_LATER = (("definition", "adapter_digest"), ("serving", "executors"), ("serving", "loading"))


@dataclass(frozen=True, slots=True)
class Definition:
    """The part of a deployment that determines the scores.

    Attributes:
        model: handle on the hub, or empty where a checkpoint or the image itself is the model.
        checkpoint_digest: of the weights on this machine, see :mod:`snakeval.serving.weights`. It
            begins with ``sha256:``, or with ``stat:`` if the weights must not be read.
        path: of the route that is evaluated, below the server's address.
        command: a jinja2 template, or empty for the image's own entry point.
        image_digest, revision: the run's pins of the image and of the model's commit on the hub, or
            empty.
        runs: what :attr:`command` renders to without what differs between two starts.
        variables: the variables of its kind, in the same way.
        adapter_digest: of the LoRA adapter that the server adds to its weights, or empty.
    """

    kind: str
    image: str
    command: str
    model: str
    checkpoint_digest: str
    served_model_name: str
    endpoint_type: str
    path: str
    set_env: Mapping[str, str]
    extra_args: str
    image_digest: str = ""
    revision: str = ""
    runs: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    adapter_digest: str = ""

    @property
    def command_is_of_kind(self) -> bool:
        """Whether the catalogue's template starts the server, and not one of the configuration."""
        return bool(self.command) and self.runs != canonical_template(self.command)

    @property
    def identity(self) -> dict[str, Any]:
        """The part of an evaluation's identity that describes the server: what runs."""
        return {
            "kind": self.kind,
            "image": self.image_digest or self.image,
            "command": self.runs,
            "model": self.model,
            "revision": self.revision,
            "weights": self.checkpoint_digest,
            "served_model_name": self.served_model_name,
            "endpoint_type": self.endpoint_type,
            "path": self.path,
            "env": {**self.variables, **self.set_env},
            "extra_args": self.extra_args.strip(),
            **({"adapter": self.adapter_digest} if self.adapter_digest else {}),
        }

    def in_format_1(self, checkpoint_digest: str) -> dict[str, Any]:
        """The same part in format 1, with the sampled digest of weights."""
        data = {name: getattr(self, name) for name in _FORMAT_1}
        return data | {"checkpoint_digest": checkpoint_digest}


@dataclass(frozen=True, slots=True)
class Loading:
    """How one server serves the checkpoints of a series; no score depends on it.

    Attributes:
        how: ``adapter`` if it adds each checkpoint to its own weights, ``swap`` if each checkpoint
            replaces the one before.
        path, stat: of the adapter, as ``checkpoint_path`` and ``weights_stat`` of full weights.
        base: the name of the server's own weights, to which it adds adapters.
        rank: the largest rank of an adapter that the server can load.
        rest: digest of what a swap does not replace, such as the tokenizer.
    """

    how: str
    path: str = ""
    stat: str = ""
    base: str = ""
    rank: int = 0
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the server is started here; no score depends on it.

    Attributes:
        port: 0 for a free one.
        gpu_ids: which GPUs of each node; where it is empty, ``gpus`` says how many.
        nodes: of one instance. ``instances``: equal servers behind one address.
        mounts: (source, target, read_only).
        env: variable there -> variable of the caller that holds its value.
        mem_mb: memory limit in MiB; None for none. ``shm_mb``: size of /dev/shm in MiB.
        readiness_timeout, idle_timeout: seconds.
        lepton: :class:`snakeval.config.lepton.LeptonEndpoint`, as plain data.
        executors: the section of each installed executor by its name, as plain data.
        weights_stat: names, sizes and times of change of the checkpoint's files, as a digest.
        loading: how the server serves other checkpoints as well; None if it serves only this one.
    """

    checkpoint_path: str
    models_path: str
    health_path: str
    port: int
    gpus: int
    gpu_ids: tuple[str, ...]
    tensor_parallel_size: int
    pipeline_parallel_size: int
    data_parallel_size: int
    mounts: tuple[tuple[str, str, bool], ...]
    env: Mapping[str, str]
    shm_mb: int
    mem_mb: int | None
    readiness_timeout: int
    idle_timeout: int
    max_restarts: int
    runtime: str
    network: str
    nodes: int = 1
    instances: int = 1
    lepton: Mapping[str, Any] = field(default_factory=dict)
    executors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights_stat: str = ""
    loading: Loading | None = None

    @property
    def hosts(self) -> int:
        """How many machines all of it needs; instances of one node share one."""
        return self.nodes * self.instances if self.nodes > 1 else 1

    @property
    def gpus_on_host(self) -> int:
        """How many GPUs all of it needs on each of its :attr:`hosts`."""
        return self.gpus if self.nodes > 1 else self.gpus * self.instances


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a server that runs on several nodes, or on another node than this.

    Attributes:
        names, addresses: of the nodes; the first is the head, which answers requests.
        port: a free one of the head, for the others to meet it.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True)
class Deployment:
    """A model's server. Equal deployments are one server, whichever run asks for it."""

    definition: Definition
    serving: Serving

    @property
    def id(self) -> str:
        """Sixteen hex digits that name the deployment."""
        return digest(self.as_dict())[:16]

    @cached_property
    def server_id(self) -> str:
        """Sixteen hex digits that name the server on this machine.

        They are those of the deployment, except if one server serves the checkpoints of a series:
        then they are the same for all of these checkpoints.
        """
        loading = self.serving.loading
        if loading is None:
            return self.id
        shared = replace(self.serving, loading=replace(loading, path="", stat=""))
        definition = replace(self.definition, adapter_digest="", served_model_name="")
        if loading.how == SWAP:
            shared = replace(shared, checkpoint_path="", weights_stat="")
            definition = replace(self.definition, checkpoint_digest="")
        return Deployment(definition, shared).id

    @property
    def weights(self) -> str:
        """The digest of what a shared server must have loaded; empty without :class:`Loading`."""
        loading = self.serving.loading
        if loading is None:
            return ""
        definition = self.definition
        return definition.checkpoint_digest if loading.how == SWAP else definition.adapter_digest

    @property
    def weights_path(self) -> str:
        """The directory of :attr:`weights`."""
        loading = self.serving.loading
        return (loading.path if loading else "") or self.serving.checkpoint_path

    @property
    def starts_with_weights(self) -> bool:
        """Whether a shared server has :attr:`weights` from its start.

        A command of the configuration has no option that loads an adapter.
        """
        loading = self.serving.loading
        return loading is not None and (loading.how == SWAP or self.definition.command_is_of_kind)

    @property
    def listed_name(self) -> str:
        """The name under which the server lists its own weights."""
        loading = self.serving.loading
        return (loading.base if loading else "") or self.definition.served_model_name

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        data = asdict(self)
        # Deployments of earlier versions do not have these.
        for part, name in _LATER:
            if not data[part][name]:
                del data[part][name]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Deployment:
        """Read what :meth:`as_dict` returned.

        Raises:
            ValueError: a field is missing, unknown or of another type.
        """
        return build(cls, data)

    def base_url(self, port: int, address: str = "127.0.0.1") -> str:
        """The server's own URL, of this machine or of *address*."""
        return f"http://{address}:{port}"

    def route_url(self, port: int, address: str = "127.0.0.1") -> str:
        """The full URL that requests go to."""
        return self.base_url(port, address) + self.definition.path


def server_name(deployment: Deployment) -> str:
    """Return the server's name in its pool: a new server removes the rest of a dead one by it.

    Another pool (:func:`snakeval.files.domain`) may serve an equal one beside it.
    """
    return f"snakeval-server-{digest([deployment.server_id, domain()])[:16]}"


def server_names(deployment: Deployment) -> list[str]:
    """Every name that something of this server may have on a machine."""
    base, serving = server_name(deployment), deployment.serving
    names = [base]
    if serving.instances > 1:
        names = [f"{base}-{number}" for number in range(serving.instances)]
    ranks = [f"{name}-{rank}" for name in names for rank in range(serving.nodes)]
    proxy = [f"{base}-proxy"] if serving.instances > 1 else []
    return [*names, *ranks, *proxy]
