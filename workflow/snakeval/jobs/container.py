"""Turns an evaluation into a container: the adapter's command with its paths, mounts and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from snakeval.catalogue import gated
from snakeval.evaluation.attempts import AttemptDirectory
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import home, make_directory, write_if_changed
from snakeval.harnesses import command
from snakeval.harnesses.adapter import Command, Paths
from snakeval.jobs.gateway import Asked
from snakeval.jobs.proxies import bypass
from snakeval.matrix.ledger import idle_keys
from snakeval.run.pins import pinned_name
from snakeval.runtimes import Runtime, passed_on
from snakeval.runtimes.spec import CONTAINER_RESULTS, ContainerSpec, Mount

_INPUTS, _FILES, _CACHE = "/snakeval/inputs", "/snakeval/files", "/cache"
_TOKENIZER = "/snakeval/tokenizer"
_HERE = re.compile(r"(?<=//)(localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1\])(?=[:/?]|$)")


def container(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    runtime: Runtime,
    run: str,
    servers: Mapping[str, str] | None = None,
    attempt: AttemptDirectory | None = None,
    asked: Asked | None = None,
    variables: Mapping[str, str] = os.environ,
) -> ContainerSpec:
    """Return what to run for *evaluation*, and write the files that its command reads.

    *run* is the run's name for the container's labels. *servers* has the URLs of the models that
    snakeval serves for it, by the deployment's name. *asked* is the gateway that the harness asks
    instead; without one, it asks the endpoints with their keys. Without an *attempt* people run it
    by hand, and it writes to ``by-hand/``. It gets *variables* by ``runtimes.passed_on``.

    Raises:
        EvaluationError: the harness cannot evaluate this.
    """
    identity, transport, inside = evaluation.identity, evaluation.transport, runtime.isolated
    inputs = (attempt or directory).inputs.resolve()
    results = (attempt.artifacts if attempt else directory.by_hand).resolve()
    # The user of an image may not write to its root.
    root = str(getattr(runtime, "root", ""))
    there = root + CONTAINER_RESULTS
    folders = (there, root + _INPUTS) if inside else (str(results), str(inputs))
    paths = _paths(evaluation, runtime, servers or {}, asked, *folders)
    made = command(evaluation, paths)
    for name, text in made.inputs.items():
        write_if_changed(inputs / name, text)
    mounts = [Mount(str(results), there, read_only=False), *_tokenizer(evaluation, runtime)]
    workdir = folders[0]
    if made.inputs:
        mounts.append(Mount(str(inputs), root + _INPUTS))
    if transport.files:
        mounts.append(Mount(transport.files, root + _FILES))
        workdir = root + _FILES if inside else transport.files
    caches, cache_env = _cache(inside, variables, {*identity.set_env, *transport.env})
    limits = transport.resources
    spec = ContainerSpec(
        name=directory.container_name,
        image=pinned_name(identity.image, identity.image_digest),
        argv=made.argv,
        workdir=workdir,
        env={**made.env, **_ports(made, attempt), **cache_env, **identity.set_env},
        secrets={**_handed_out(evaluation, asked, variables, inside), **made.secrets},
        mounts=(*mounts, *(Mount(*mount) for mount in transport.mounts), *caches),
        labels=_labels(run, evaluation),
        network=transport.network,
        cpus=limits.get("cpus"),
        mem_mb=limits.get("mem_mb"),
        shm_mb=limits.get("shm_mb"),
        gpus=limits.get("gpus") or 0,
        requirements=transport.requirements,
        packages=identity.packages,
        environ=asked.environ if asked is not None else None,
        withheld=() if inside else _withheld(evaluation, asked),
    )
    return _around_proxies(spec, _served(evaluation, paths, servers, asked))


def _tokenizer(evaluation: Evaluation, runtime: Runtime) -> list[Mount]:
    """Return the mount of the model's tokenizer, if it is a directory of this machine."""
    path = evaluation.transport.tokenizer.get("path")
    target = str(getattr(runtime, "root", "")) + _TOKENIZER
    return [Mount(path, target)] if path and runtime.isolated else []


def _ports(made: Command, attempt: AttemptDirectory | None) -> dict[str, str]:
    """Return free ports for the harness of an attempt; scripts for people have none."""
    if not made.ports or attempt is None:
        return {}
    # Here, because hardly any job needs it.
    from snakeval.serving.ports import free_port

    found: dict[str, str] = {}
    for name in made.ports:
        found[name] = str(free_port([int(port) for port in found.values()]))
    return found


def _labels(run: str, evaluation: Evaluation) -> dict[str, str]:
    return {
        "snakeval.run": run,
        "snakeval.evaluation": evaluation.id,
        "snakeval.fingerprint": evaluation.fingerprint,
    }


def _handed_out(
    evaluation: Evaluation, asked: Asked | None, variables: Mapping[str, str], inside: bool
) -> dict[str, str]:
    """Return the variables that the harness gets beside its own: name in it -> name here.

    A process inherits those that are no secret.
    """
    aliases = asked.handed_out if asked is not None else {}
    env = evaluation.transport.env
    own = {inside: aliases.get(here, here) for inside, here in env.items()}
    bridged = inside and evaluation.transport.network == "bridge"
    given = passed_on.passed_on(variables, evaluation.identity.set_env, bridged=bridged)
    return {n: here for n, here in given.items() if inside or n == gated.VARIABLE} | own


def _withheld(evaluation: Evaluation, asked: Asked | None) -> tuple[str, ...]:
    """Return the variables that a harness without a container does not inherit."""
    transport = evaluation.transport
    own = {transport.api_key_name, *transport.auxiliary_keys.values()}
    # The gateway put its token in place of these, and harnesses look for them.
    own |= idle_keys(evaluation) if asked is not None else set()
    here = os.environ if asked is None else asked.environ
    return tuple(sorted(passed_on.withheld(here, transport.keys, own, transport.inherit)))


def _paths(
    evaluation: Evaluation,
    runtime: Runtime,
    served: Mapping[str, str],
    asked: Asked | None,
    results: str,
    inputs: str,
) -> Paths:
    """Return the folders and the URLs that the harness's command uses."""
    found = evaluation.transport.tokenizer
    mounted = _tokenizer(evaluation, runtime)
    tokenizer = mounted[0].target if mounted else found.get("path") or found.get("name", "")
    revision = found.get("revision", "")
    if asked is not None:
        auxiliary = {name: asked.urls[name] for name in evaluation.identity.auxiliary}
        urls = asked.urls[evaluation.model], auxiliary
        return Paths(results, inputs, *urls, asked.slots, tokenizer, revision)
    bridged = runtime.isolated and evaluation.transport.network == "bridge"

    def reachable(name: str, url: str) -> str:
        url = served.get(name, url)
        return _HERE.sub(runtime.host, url, count=1) if bridged else url

    models = evaluation.identity.auxiliary.items()
    return Paths(
        results=results,
        inputs=inputs,
        endpoint_url=reachable(evaluation.model, evaluation.identity.endpoint_url),
        auxiliary={name: reachable(name, model["endpoint_url"]) for name, model in models},
        tokenizer=tokenizer,
        tokenizer_revision=revision,
    )


def _served(
    evaluation: Evaluation, paths: Paths, servers: Mapping[str, str] | None, asked: Asked | None
) -> list[str]:
    """Return the URLs in *paths* that snakeval serves: of *servers*, or all through a gateway."""
    urls = {evaluation.model: paths.endpoint_url, **paths.auxiliary}
    return [url for name, url in urls.items() if asked is not None or name in (servers or {})]


def _around_proxies(spec: ContainerSpec, served: list[str]) -> ContainerSpec:
    """Return *spec* with the variables by which its harness asks *served* URLs without a proxy.

    The proxies of this process count in containers also, since apptainer passes them on.
    """
    direct = bypass({**spec.surroundings, **spec.env, **spec.secret_values()}, served)
    secrets = {name: here for name, here in spec.secrets.items() if name not in direct}
    return replace(spec, env={**spec.env, **direct}, secrets=secrets)


def _cache(
    inside: bool, variables: Mapping[str, str], taken: Collection[str]
) -> tuple[list[Mount], dict[str, str]]:
    """Return the mounts and the variables of the cache that all evaluations of all runs share.

    The hub's directories of *variables* are stronger, except those that are *taken*.
    """
    cache = home().resolve() / "cache"
    make_directory(cache)
    if inside:
        mounts, own = passed_on.folders(variables, taken)
        env = {"HOME": "/tmp", "HF_HOME": f"{_CACHE}/huggingface"} | own
        return [Mount(str(cache), _CACHE, read_only=False), *mounts], env
    return [], {} if "HF_HOME" in os.environ else {"HF_HOME": str(cache / "huggingface")}


def installable(evaluation: Evaluation) -> bool:
    """Whether ``runtime: process`` can run the harness: from pinned packages, or as installed."""
    identity = evaluation.identity
    return bool(evaluation.transport.requirements or identity.packages or not identity.image)
