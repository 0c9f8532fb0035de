"""Turns an evaluation into a container: the adapter's command with its paths, mounts and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import home, write_if_changed
from snakeval.harnesses import command
from snakeval.harnesses.adapter import Paths
from snakeval.runtimes import Runtime
from snakeval.runtimes.spec import ContainerSpec, Mount

_RESULTS, _INPUTS, _FILES, _CACHE = "/results", "/snakeval/inputs", "/snakeval/files", "/cache"
_HERE = re.compile(r"(?<=//)(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1\])(?=[:/?]|$)")


def container(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    runtime: Runtime,
    run: str,
    servers: Mapping[str, str] | None = None,
) -> ContainerSpec:
    """Return what to run for *evaluation*, and write the files that its command reads.

    *run* names the run in the container's labels. *servers* are the URLs of what we serve for it,
    by the deployment's name.

    Raises:
        EvaluationError: the harness cannot evaluate this.
    """
    transport, inside = evaluation.transport, runtime.isolated
    inputs = directory.inputs.resolve()
    results = directory.artifacts.resolve()
    bridged = inside and transport.network == "bridge"
    identity, served = evaluation.identity, servers or {}

    def reachable(name: str, url: str) -> str:
        url = served.get(name, url)
        return _HERE.sub(runtime.host, url, count=1) if bridged else url

    made = command(
        evaluation,
        Paths(
            results=_RESULTS if inside else str(results),
            inputs=_INPUTS if inside else str(inputs),
            endpoint_url=reachable(evaluation.model, identity.endpoint_url),
            auxiliary={
                name: reachable(name, model["endpoint_url"])
                for name, model in identity.auxiliary.items()
            },
        ),
    )
    for name, text in made.inputs.items():
        write_if_changed(inputs / name, text)
    mounts = [Mount(str(results), _RESULTS, read_only=False)]
    env = dict(made.env)
    workdir = _RESULTS if inside else str(results)
    if made.inputs:
        mounts.append(Mount(str(inputs), _INPUTS))
    if transport.files:
        mounts.append(Mount(transport.files, _FILES))
        workdir = _FILES if inside else transport.files
    mounts += [Mount(*mount) for mount in transport.mounts]
    # Data sets are downloaded once, for every evaluation and every run.
    cache = home().resolve() / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if inside:
        mounts.append(Mount(str(cache), _CACHE, read_only=False))
        env |= {"HOME": "/tmp", "HF_HOME": f"{_CACHE}/huggingface"}
    elif "HF_HOME" not in os.environ:
        env |= {"HF_HOME": str(cache / "huggingface")}
    limits = transport.resources
    return ContainerSpec(
        name=directory.container_name,
        image=identity.image,
        argv=made.argv,
        workdir=workdir,
        env=env,
        secrets={**transport.env, **made.secrets},
        mounts=tuple(mounts),
        labels={
            "snakeval.run": run,
            "snakeval.evaluation": evaluation.id,
            "snakeval.fingerprint": evaluation.fingerprint,
        },
        network=transport.network,
        cpus=limits.get("cpus"),
        mem_mb=limits.get("mem_mb"),
        shm_mb=limits.get("shm_mb"),
        gpus=limits.get("gpus") or 0,
        requirements=transport.requirements,
        packages=identity.packages,
    )


def installable(evaluation: Evaluation) -> bool:
    """Whether ``runtime: process`` can run the harness: from pinned packages, or as it is here."""
    identity = evaluation.identity
    return bool(evaluation.transport.requirements or identity.packages or not identity.image)
