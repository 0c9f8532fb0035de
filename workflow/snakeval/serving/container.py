"""From a deployment to the container that serves it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.errors import EvaluationError
from snakeval.files import home, make_directory
from snakeval.run.pins import pinned_name
from snakeval.runtimes import NEED_IMAGES, Runtime, passed_on
from snakeval.runtimes.spec import ContainerSpec, Mount
from snakeval.serving import shared_start
from snakeval.serving.deployment import GRACE, MARK, Deployment, Nodes, server_name
from snakeval.serving.loaded import weights_of
from snakeval.serving.tokenizer import server_must_answer
from snakeval.shell import argv, fill, render

#: The checkpoint as a container sees it.
_CHECKPOINT = "/checkpoint"
_CACHE = "/cache"


def command(deployment: Deployment, values: Mapping[str, Any], *, inside: bool = True) -> str:
    """Return the shell text that serves, or nothing for the image's entry point.

    If it does not run *inside* a container, a program by its path in the image is the one of that
    name on the PATH.

    Raises:
        EvaluationError: the template is wrong.
    """
    definition = deployment.definition
    if not definition.command:
        return ""
    text = render(definition.command, values, "the deployment's `command`").strip()
    # The options are no part of the kind's template, whose text identities of format 1 contain.
    kind = catalogue.server_kind(definition.kind)
    if definition.command_is_of_kind:
        if not inside:
            text = re.sub(r"^/\S*/", "", text)
        if kind.revision_option and definition.revision:
            text += f" {kind.revision_option} {shlex.quote(definition.revision)}"
        option = kind.tokenizer_option
        if option and option not in definition.extra_args and server_must_answer(deployment):
            text += f" {option}"
        text += shared_start.options(deployment, kind)
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
        "served_model_name": deployment.listed_name,
        "tensor_parallel_size": serving.tensor_parallel_size,
        "pipeline_parallel_size": serving.pipeline_parallel_size,
        "data_parallel_size": serving.data_parallel_size,
        "gpus": gpus,
        "nodes": serving.nodes,
        "gpus_per_node": gpus,
        "head": nodes.addresses[0] if nodes else "127.0.0.1",
        "endpoint_type": definition.endpoint_type,
        "revision": definition.revision,
    }


#: Sizes of one server, and of one whose every size matters to a template.
_SIZES: tuple[dict[str, int], ...] = (
    {},
    {
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 3,
        "data_parallel_size": 4,
        "gpus": 24,
        "nodes": 5,
        "gpus_per_node": 24,
    },
)


def _neutral(deployment: Deployment) -> list[dict[str, Any]]:
    """Return values for a template of the catalogue without what differs between two starts.

    How many GPUs serve a model changes no score. Both renderings show which options a template has.
    """
    one = replace(
        deployment,
        serving=replace(
            deployment.serving,
            tensor_parallel_size=1,
            pipeline_parallel_size=1,
            data_parallel_size=1,
            nodes=1,
            network="host",
        ),
        definition=replace(deployment.definition, revision=""),
    )
    model = deployment.definition.model or "<weights>"
    return [_values(one, model, 1, 1) | sizes for sizes in _SIZES]


def rendered_for_identity(deployment: Deployment, template: str) -> str:
    """Return what *template*, of the catalogue, renders to for an evaluation's identity.

    Raises:
        EvaluationError: the template is wrong.
    """
    if not template:
        return ""
    kind = deployment.definition.kind
    texts = [render(template, v, f"the command of kind {kind}") for v in _neutral(deployment)]
    return "\n".join(shlex.join(shlex.split(text)) for text in texts)


def variables_for_identity(deployment: Deployment, kind: catalogue.ServerKind) -> dict[str, str]:
    """Return the variables of a kind, rendered as :func:`rendered_for_identity` does."""
    what = f"kind {deployment.definition.kind}"
    return {
        name: value
        for name, template in kind.env.items()
        if (value := " / ".join(fill(template, v, what) for v in _neutral(deployment))).strip(" /")
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
        values = _values(deployment, "model", 1, 0)
        words = shlex.split(command(deployment, values, inside=False))
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
    of several instances. On several *nodes*, :mod:`snakeval.serving.node_process` adds the rank.

    Raises:
        EvaluationError: the command's template is wrong, or the weights changed since the plan.
    """
    definition, serving = deployment.definition, deployment.serving
    kind, inside = catalogue.server_kind(definition.kind), runtime.isolated
    here = os.environ if environ is None else environ
    mounts = [Mount(*mount) for mount in serving.mounts]
    model = definition.model
    if serving.checkpoint_path:
        source = weights_of(deployment, here)
        target = f"{_CHECKPOINT}/{source.name}" if source.is_file() else _CHECKPOINT
        checkpoint = Mount(str(source), target)
        model = checkpoint.target if inside else checkpoint.source
        mounts.append(checkpoint)
    name = name or server_name(deployment)
    values = _values(deployment, model, port, len(gpu_ids), nodes)
    env = {MARK: name} | _of_nodes(nodes)
    if inside:
        mounts += _cache(definition.kind, kind, mounts)
        # The caller has no entry in the image's /etc/passwd, where PyTorch would look for a name.
        env |= {"HOME": "/tmp", "USER": "snakeval", kind.cache_env: kind.cache}
        if kind.cache_env == "HF_HOME" and not hasattr(runtime, "root"):  # not of another machine
            folders, own = passed_on.folders(here, {*definition.set_env, *serving.env})
            mounts, env = [*mounts, *folders], env | own
    elif "HF_HOME" not in here:
        env |= {"HF_HOME": str(_host_cache() / "huggingface")}
    shared_start.require_adapter(deployment)
    env |= _variables(deployment, values)
    text = command(deployment, values, inside=inside)
    return ContainerSpec(
        name=name,
        image=pinned_name(definition.image, definition.image_digest),
        argv=argv(text) if text else tuple(shlex.split(definition.extra_args)),
        workdir="/tmp",
        env=env,
        secrets={**_handed_out(kind.secrets, definition.set_env, here), **serving.env},
        mounts=tuple(mounts),
        labels=_labels(deployment),
        network="host",
        mem_mb=serving.mem_mb,
        shm_mb=serving.shm_mb,
        gpu_ids=tuple(gpu_ids),
        entry_point=not text,
        grace=GRACE,
        environ=environ,
    )


def _labels(deployment: Deployment) -> dict[str, str]:
    name = deployment.definition.served_model_name
    return {"snakeval.server": deployment.server_id, "snakeval.model": name}


def _variables(deployment: Deployment, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a server without secrets. Those of the configuration win."""
    name, kind = deployment.definition.kind, catalogue.server_kind(deployment.definition.kind)
    own = shared_start.variables(deployment, kind)
    return {**_of_kind(kind, name, values), **own, **deployment.definition.set_env}


def _handed_out(
    names: Sequence[str], set_env: Mapping[str, str], here: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that are set *here* and that a server gets under the same names."""
    own = {name: name for name in names if name in here and name not in set_env}
    return passed_on.passed_on(here, set_env) | own


def _of_nodes(nodes: Nodes | None) -> dict[str, str]:
    """Return the variables by which the parts of a server on several nodes find each other."""
    if not nodes:
        return {}
    return {
        "SNAKEVAL_HEAD_ADDRESS": nodes.addresses[0],
        "SNAKEVAL_HEAD_PORT": str(nodes.port),
        "SNAKEVAL_NODES": str(len(nodes.names)),
        "SNAKEVAL_NODE_ADDRESSES": ",".join(nodes.addresses),
    }


def _of_kind(kind: catalogue.ServerKind, name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that a kind of server has from the catalogue, without empty ones."""
    filled = {
        variable: fill(template, values, f"{variable} of kind {name}")
        for variable, template in kind.env.items()
    }
    return {variable: value for variable, value in filled.items() if value}


def _host_cache() -> Path:
    return home().resolve() / "cache"


def _cache(name: str, kind: catalogue.ServerKind, given: Sequence[Mount]) -> Iterator[Mount]:
    """Yield the mount of the cache of a kind of server, unless *given* has one at its place.

    Weights are downloaded once, for harnesses and servers of every run.
    """
    cache = _host_cache()
    below = cache if kind.cache.startswith(f"{_CACHE}/") else cache / name
    make_directory(below)
    target = _CACHE if below == cache else kind.cache
    if all(mount.target != target for mount in given):  # an engine refuses two at one place
        yield Mount(str(below), target, read_only=False)
