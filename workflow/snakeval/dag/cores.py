"""The cores of a Slurm job, for the Snakemake in it.

Its command line has ``--cores all``: the CPUs of the node, also those of other people's jobs. With
fewer CPUs than the job's in ``/proc``, it would run fewer evaluations at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of a step, and of a job whose request has no CPUs for each task.
_VARIABLES = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")


def use_cores_of_job(workflow: Any, environment: Mapping[str, str]) -> None:
    """Let the Snakemake of a job use the CPUs of its Slurm job, if it is in one."""
    texts = (environment.get(name, "") for name in _VARIABLES)
    cores = next((int(text) for text in texts if text.isdigit() and int(text)), None)
    if "SLURM_JOB_ID" not in environment or cores is None or workflow.is_main_process:
        return
    if workflow.resource_settings.cores is None:
        return  # it submits to steps, and runs nothing itself
    workflow.resource_settings.cores = cores
    workflow.global_resources["_cores"] = cores
