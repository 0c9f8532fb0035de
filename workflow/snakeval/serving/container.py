"""From a deployment to the container that serves it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.errors import EvaluationError
from snakeval.files import home
from snakeval.runtimes import NEED_IMAGES, Runtime
from snakeval.runtimes.spec import ContainerSpec, Mount
from snakeval.serving.deployment import GRACE, MARK, Deployment, Nodes, server_name
from snakeval.shell import argv, fill, render

#: The checkpoint as a container sees it.
_CHECKPOINT = "/checkpoint"


_CACHE = "/cache"


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
    if runtime in NEED_IMAGES and not definition.image:
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

    *environ* has the values of the variables that the container gets. *name* is the name of one
    of several instances. On several *nodes*, each part learns its rank at its start: see
    :mod:`snakeval.serving.node_process`.

    Raises:
        EvaluationError: the command's template is wrong.
    """
    definition, serving = deployment.definition, deployment.serving
    kind, inside = catalogue.server_kind(definition.kind), runtime.isolated
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
