"""What is requested from Slurm, layered from the configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from snakeval.config.execution import Execution, Slurm


def layered(*layers: Execution | None) -> Slurm:
    """Return what the last of *layers* says, key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if layer is not None:
            merged |= {name: getattr(layer.slurm, name) for name in layer.slurm.model_fields_set}
    return Slurm.model_construct(**merged)


#: Our keys -> resources of Snakemake's Slurm executor
#: (https://snakemake.github.io/snakemake-plugin-catalog/plugins/executor/slurm.html).
RESOURCES: Mapping[str, str] = {
    "account": "slurm_account",
    "partition": "slurm_partition",
    "qos": "qos",
    "constraint": "constraint",
    "gres": "gres",
    "cpus_per_task": "cpus_per_task",
    "comment": "slurm_comment",
    "max_total_walltime": "max_total_runtime",
}


def resources(asked: Slurm, *, gpus: bool) -> dict[str, str | int]:
    """Return *asked* as Snakemake's resources; those not asked for are left out.

    *gpus* tells whether the job has any. ``walltime`` and ``mem_mb`` are not among them: Snakemake
    knows both, whatever the executor.
    """
    found = {resource: getattr(asked, key) for key, resource in RESOURCES.items()}
    if not gpus:
        found["slurm_partition"] = asked.cpu_partition or asked.partition
        found["gres"] = None
    extra = " ".join(
        ["--exclusive"] * asked.exclusive + [asked.extra_flags] * bool(asked.extra_flags)
    )
    found["slurm_extra"] = extra or None
    return {name: value for name, value in found.items() if value is not None}


def head_options(asked: Slurm) -> dict[str, str | int]:
    """Return what sbatch is asked for Snakemake itself: one CPU where those without GPUs are."""
    own = asked.model_copy(
        update={
            "walltime": asked.head_walltime,
            "max_walltime_per_allocation": None,
            "gres": None,
            "exclusive": False,
            "mem_mb": None,
            "cpus_per_task": None,
        }
    )
    return sbatch_options(own, gpus=0, cpus=None, mem_mb=None)


def sbatch_options(
    asked: Slurm, *, gpus: int, cpus: int | None, mem_mb: int | None
) -> dict[str, str | int]:
    """Return *asked* as long options of sbatch, an empty text for a flag; ``extra`` are more.

    *gpus*, *cpus* and *mem_mb* (MiB) are what the job needs where *asked* does not say it.
    """
    partition = asked.partition if gpus else asked.cpu_partition or asked.partition
    options = {
        "account": asked.account,
        "partition": partition,
        "qos": asked.qos,
        "time": asked.walltime or asked.max_walltime_per_allocation,
        "constraint": asked.constraint,
        "comment": asked.comment,
        "exclusive": "" if asked.exclusive else None,
        "gres": asked.gres if gpus else None,
        "gpus": None if asked.gres or not gpus else gpus,
        "ntasks": 1,
        "cpus-per-task": asked.cpus_per_task or cpus,
        "mem": asked.mem_mb or mem_mb,
        "extra": asked.extra_flags or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def flags(options: Mapping[str, str | int]) -> list[str]:
    """Return options of sbatch as flags of its command line."""
    return [
        str(value) if name == "extra" else f"--{name}={shlex.quote(str(value))}".removesuffix("=''")
        for name, value in options.items()
    ]


#: Every resource that a schedulers' section may ask for.
SITE = (*RESOURCES.values(), "slurm_extra", "nodes", "tasks_per_node")
