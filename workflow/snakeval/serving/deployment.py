"""A model's server as plain data: what it serves, and how it is started here.

:class:`Definition` is what determines the scores, :class:`Serving` what does not. A
:class:`Deployment` crosses from the head to the jobs and to the pool; :func:`container` turns it
into a container once its port and its GPUs are known.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.config import config
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import digest
from snakeval.files import domain, home
from snakeval.runtimes import Runtime
from snakeval.runtimes.spec import ContainerSpec, Mount
from snakeval.shell import argv, fill, render

#: The checkpoint as a container sees it.
_CHECKPOINT = "/checkpoint"
_CACHE = "/cache"
#: How much of each end of a large file goes into a checkpoint's digest.
_SAMPLE_BYTES = 1 << 16
#: Names the server in the environment of all its processes, whatever the runtime.
MARK = "SNAKEVAL_SERVER"
#: Seconds between SIGTERM and SIGKILL.
GRACE = 15


@dataclass(frozen=True, slots=True)
class Definition:
    """What of a deployment determines the scores.

    Attributes:
        model: handle on the hub, or empty where a checkpoint or the image itself is the model.
        checkpoint_digest: of the weights on this machine, see :func:`checkpoint_digest`.
        path: of the route that is evaluated, below the server's address.
        command: a jinja2 template, or empty for the image's own entry point.
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
    """Where a server of several nodes runs, or one of another node than this.

    Attributes:
        names, addresses: of the nodes; the first is the head, which answers requests.
        port: a free one of the head, for the others to meet it.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model's server. Equal deployments are one server, whichever run asks for it."""

    definition: Definition
    serving: Serving

    @property
    def id(self) -> str:
        """Sixteen hex digits that name the server on this machine."""
        return digest(self.as_dict())[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Deployment:
        """Read what :meth:`as_dict` returned."""
        serving = dict(data["serving"])
        serving["gpu_ids"] = tuple(serving["gpu_ids"])
        serving["mounts"] = tuple((str(a), str(b), bool(c)) for a, b, c in serving["mounts"])
        return cls(Definition(**data["definition"]), Serving(**serving))

    def base_url(self, port: int, address: str = "127.0.0.1") -> str:
        """The server's own URL, of this machine or of *address*."""
        return f"http://{address}:{port}"

    def route_url(self, port: int, address: str = "127.0.0.1") -> str:
        """The full URL that requests go to."""
        return self.base_url(port, address) + self.definition.path


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment of a run with the evaluations that need it: (id, fingerprint).

    ``rank`` is its place among the run's deployments: what stands first is loaded first.
    """

    name: str
    rank: int
    deployment: Deployment
    evaluations: tuple[tuple[str, str], ...] = field(default=())

    def to_json(self) -> str:
        """Serialise it for the jobs."""
        return json.dumps(
            {
                "name": self.name,
                "rank": self.rank,
                "deployment": self.deployment.as_dict(),
                "evaluations": self.evaluations,
            },
            indent=1,
        )

    @classmethod
    def read(cls, run: Path, name: str) -> Plan:
        """Read the plan of the deployment *name* of *run*.

        Raises:
            EvaluationError: it is not there, or no plan.
        """
        path = plan_path(run, name)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                data["name"],
                int(data["rank"]),
                Deployment.from_dict(data["deployment"]),
                tuple((str(a), str(b)) for a, b in data["evaluations"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{path} cannot be read ({error}); give the same command again"
            ) from None

    @classmethod
    def all(cls, run: Path) -> list[Plan]:
        """Read every plan of *run*."""
        return [cls.read(run, path.stem) for path in plan_path(run, "x").parent.glob("*.json")]


def plan_path(run: Path, name: str) -> Path:
    """Where the plan of the deployment *name* stands."""
    return run / ".snakeval" / "deployments" / f"{name}.json"


def resolve(name: str, spec: config.Deployment, network: str, runtime: str = "auto") -> Deployment:
    """Return the deployment of the model *name*, with what its kind says where *spec* does not.

    *network* and *runtime* are the run's.
    """
    kind = catalogue.server_kinds()[spec.kind]
    paths = spec.endpoints
    route = {
        config.EndpointType.COMPLETIONS: paths.completions or kind.routes["completions"],
        config.EndpointType.EMBEDDING: paths.embeddings or kind.routes["embedding"],
    }.get(spec.type, paths.chat or kind.routes["chat"])
    sizes = spec.tensor_parallel_size * spec.pipeline_parallel_size * spec.data_parallel_size
    gpu_ids = tuple(map(str, spec.gpus)) if isinstance(spec.gpus, tuple) else ()
    gpus = len(gpu_ids) if gpu_ids or spec.kind == "generic" else sizes // spec.nodes
    checkpoint = spec.checkpoint_path
    return Deployment(
        Definition(
            kind=spec.kind,
            image=spec.image or kind.image,
            command=spec.command or ("" if spec.image and not kind.command else kind.command),
            model=spec.hf_model_handle or "",
            checkpoint_digest=checkpoint_digest(Path(checkpoint)) if checkpoint else "",
            served_model_name=spec.served_model_name or spec.hf_model_handle or name,
            endpoint_type=spec.type.value,
            path=route,
            set_env=spec.set_env,
            extra_args=spec.extra_args,
        ),
        Serving(
            checkpoint_path=checkpoint or "",
            models_path=paths.models,
            health_path=paths.health or kind.health,
            port=spec.port or 0,
            gpus=spec.gpus if isinstance(spec.gpus, int) else gpus,
            gpu_ids=gpu_ids,
            tensor_parallel_size=spec.tensor_parallel_size,
            pipeline_parallel_size=spec.pipeline_parallel_size,
            data_parallel_size=spec.data_parallel_size,
            mounts=tuple((m.source, m.target, m.read_only) for m in spec.mounts),
            env=spec.env,
            shm_mb=spec.shm_mb or kind.shm_mb,
            mem_mb=spec.mem_mb,
            readiness_timeout=spec.readiness_timeout,
            idle_timeout=spec.idle_timeout,
            max_restarts=spec.max_restarts,
            runtime=spec.runtime or runtime,
            network=network,
            nodes=spec.nodes,
            instances=spec.instances,
            lepton=spec.lepton.model_dump(exclude_defaults=True),
        ),
    )


def checkpoint_digest(path: Path) -> str:
    """Return a SHA-256 that tells checkpoints apart without reading hundreds of gigabytes.

    Over the name, the size and both ends (64 KiB each) of every file, small ones so in whole.
    Hidden files are passed over: git and the hub's client leave them, with times in them.

    Raises:
        ConfigError: a file cannot be read.
    """
    total = hashlib.sha256()
    try:
        for name, file in _checkpoint_files(path):
            size = file.stat().st_size
            total.update(f"{len(name)}:{name}:{size}:".encode())
            with file.open("rb") as content:
                total.update(content.read(_SAMPLE_BYTES))
                content.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                total.update(content.read())
    except OSError as error:
        where = error.filename or path
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); check it") from None
    return total.hexdigest()


def _checkpoint_files(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    below = ((file.relative_to(path), file) for file in sorted(path.rglob("*")))
    return [
        (name.as_posix(), file)
        for name, file in below
        if file.is_file() and not any(part.startswith(".") for part in name.parts)
    ]


def command(deployment: Deployment, values: Mapping[str, Any]) -> str:
    """Return the shell text that serves, or nothing for the image's entry point.

    Raises:
        EvaluationError: the template is wrong.
    """
    definition = deployment.definition
    if not definition.command:
        return ""
    text = render(definition.command, values, "the deployment's `command`").strip()
    return f"{text} {definition.extra_args}".strip()


def _values(
    deployment: Deployment, model: str, port: int, gpus: int, nodes: Nodes | None = None
) -> dict[str, Any]:
    definition, serving = deployment.definition, deployment.serving
    only_here = serving.network == "host" and nodes is None
    return {
        "model": model,
        "is_path": bool(serving.checkpoint_path),
        # A bridged harness comes in through the bridge's address, not through loopback; and who
        # asks another node through that of its network.
        "host": "127.0.0.1" if only_here else "0.0.0.0",
        "port": port,
        "served_model_name": definition.served_model_name,
        "tensor_parallel_size": serving.tensor_parallel_size,
        "pipeline_parallel_size": serving.pipeline_parallel_size,
        "data_parallel_size": serving.data_parallel_size,
        "gpus": gpus,
        "nodes": serving.nodes,
        "gpus_per_node": gpus,
        "head": nodes.addresses[0] if nodes else "127.0.0.1",
        "endpoint_type": definition.endpoint_type,
    }


def check(deployment: Deployment) -> None:
    """Refuse now what could not be started later.

    Raises:
        EvaluationError: the command's template is wrong, or its runtime has nothing to start.
    """
    definition, runtime = deployment.definition, deployment.serving.runtime
    if runtime not in ("auto", "process") and not definition.image:
        raise EvaluationError(f"runtime {runtime} needs an image; add `image`, or runtime: process")
    if runtime == "process" and not definition.command:
        raise EvaluationError("runtime process has no image that knows a command; add `command`")
    command(deployment, _values(deployment, "model", 1, 0))


def installed(deployment: Deployment, environ: Mapping[str, str]) -> bool:
    """Whether ``runtime: process`` finds the command's program on this machine's PATH."""
    try:
        words = shlex.split(command(deployment, _values(deployment, "model", 1, 0)))
    except (ValueError, EvaluationError):
        return False  # said with its reason when it is started
    words = words[words[:1] == ["exec"] :]
    return bool(words) and shutil.which(words[0], path=environ.get("PATH")) is not None


def container(
    deployment: Deployment,
    runtime: Runtime,
    port: int,
    gpu_ids: Sequence[str],
    environ: Mapping[str, str] | None = None,
    name: str = "",
    nodes: Nodes | None = None,
) -> ContainerSpec:
    """Return what to start for *deployment* on *port* and *gpu_ids*.

    *environ* holds the values of the variables that it is handed. *name* is its own, where there
    are several. On other *nodes* each learns its rank there: see
    :mod:`snakeval.serving.node_process`.

    Raises:
        EvaluationError: the command's template is wrong.
    """
    definition, serving = deployment.definition, deployment.serving
    kind, inside = catalogue.server_kinds()[definition.kind], runtime.isolated
    here = os.environ if environ is None else environ
    mounts = [Mount(*mount) for mount in serving.mounts]
    model = definition.model
    if serving.checkpoint_path:
        place = Path(serving.checkpoint_path)
        target = f"{_CHECKPOINT}/{place.name}" if place.is_file() else _CHECKPOINT
        model = target if inside else serving.checkpoint_path
        mounts.append(Mount(serving.checkpoint_path, target))
    name = name or server_name(deployment)
    values = _values(deployment, model, port, len(gpu_ids), nodes)
    env: dict[str, str] = {MARK: name}
    if nodes:
        env |= {
            "SNAKEVAL_HEAD_ADDRESS": nodes.addresses[0],
            "SNAKEVAL_HEAD_PORT": str(nodes.port),
            "SNAKEVAL_NODES": str(len(nodes.names)),
        }
    cache = home().resolve() / "cache"
    if inside:
        # Weights are downloaded once, for harnesses and servers of every run.
        below = cache if kind.cache.startswith(f"{_CACHE}/") else cache / definition.kind
        below.mkdir(parents=True, exist_ok=True)
        target = _CACHE if below == cache else kind.cache
        mounts.append(Mount(str(below), target, read_only=False))
        # The caller has no entry in the image's /etc/passwd, where PyTorch would look for a name.
        env |= {"HOME": "/tmp", "USER": "snakeval", kind.cache_env: kind.cache}
    elif "HF_HOME" not in here:
        env |= {"HF_HOME": str(cache / "huggingface")}
    for variable, template in kind.env.items():
        if value := fill(template, values, f"{variable} of kind {definition.kind}"):
            env[variable] = value
    env |= definition.set_env
    text = command(deployment, values)
    return ContainerSpec(
        name=name,
        image=definition.image,
        argv=argv(text) if text else tuple(shlex.split(definition.extra_args)),
        workdir="/tmp",
        env=env,
        secrets={**{n: n for n in kind.secrets if n in here}, **serving.env},
        mounts=tuple(mounts),
        labels={
            "snakeval.server": deployment.id,
            "snakeval.model": definition.served_model_name,
        },
        network="host",
        mem_mb=serving.mem_mb,
        shm_mb=serving.shm_mb,
        gpu_ids=tuple(gpu_ids),
        entry_point=not text,
        grace=GRACE,
        environ=environ,
    )


def server_name(deployment: Deployment) -> str:
    """The one name that this server has in its pool, so that a new one removes a dead one's rest.

    Another pool (:func:`snakeval.files.domain`) may serve an equal one beside it.
    """
    return f"snakeval-server-{digest([deployment.id, domain()])[:16]}"


def server_names(deployment: Deployment) -> list[str]:
    """Every name that something of this server may have on a machine."""
    base, serving = server_name(deployment), deployment.serving
    names = [base]
    if serving.instances > 1:
        names = [f"{base}-{number}" for number in range(serving.instances)]
    ranks = [f"{name}-{rank}" for name in names for rank in range(serving.nodes)]
    proxy = [f"{base}-proxy"] if serving.instances > 1 else []
    return [*names, *ranks, *proxy]
