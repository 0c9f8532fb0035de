"""Cleans the environment of an srun that starts a step from within another step."""

from __future__ import annotations

from collections.abc import Mapping

_KEPT = ("SLURM_JOB_ID", "SLURM_CONF")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without Slurm's variables, except those that identify the job.

    A step's variables (nodes, tasks, memory) are defaults of an srun in it, which then could not
    leave its node. Slurm itself knows the job's values.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not name.startswith(("SLURM_", "SBATCH_", "SLURMD_"))
    }
