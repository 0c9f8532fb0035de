"""Resolves a deployment: defaults of its kind, digests of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from snakeval import catalogue
from snakeval.config import models
from snakeval.errors import ConfigError
from snakeval.serving.deployment import Definition, Deployment, Serving

#: How much of each end of a large file goes into a checkpoint's digest.
_SAMPLE_BYTES = 1 << 16


def resolve(name: str, spec: models.Deployment, network: str, runtime: str = "auto") -> Deployment:
    """Return the deployment of the model *name*, with what its kind says where *spec* does not.

    *network* and *runtime* are the run's.
    """
    kind = catalogue.server_kind(spec.kind)
    paths = spec.endpoints
    route = {
        models.EndpointType.COMPLETIONS: paths.completions or kind.routes["completions"],
        models.EndpointType.EMBEDDING: paths.embeddings or kind.routes["embedding"],
    }.get(spec.type, paths.chat or kind.routes["chat"])
    sizes = spec.tensor_parallel_size * spec.pipeline_parallel_size * spec.data_parallel_size
    gpu_ids = tuple(map(str, spec.gpus)) if isinstance(spec.gpus, tuple) else ()
    gpus = len(gpu_ids) if gpu_ids or not kind.needs_gpus else sizes // spec.nodes
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
            executors={
                name: section.model_dump(mode="json", exclude_unset=True)
                for name, section in spec.installed.items()
            },
        ),
    )


def checkpoint_digest(path: Path) -> str:
    """Return a SHA-256 that distinguishes checkpoints without reading hundreds of gigabytes.

    It covers the name, the size and both ends (64 KiB each) of every file, and small files as a
    whole. It skips hidden files: git and the hub's client leave some that contain times.

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
