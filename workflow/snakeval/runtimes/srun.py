"""What srun is told by its environment, where a step starts another step of its job."""

from __future__ import annotations

from collections.abc import Mapping

_KEPT = ("SLURM_JOB_ID", "SLURM_CONF")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* with nothing of Slurm but which job this is.

    A step's own variables (of its nodes, its tasks, its memory) are defaults to the srun in it,
    which so could not leave the node that it is on. Slurm knows the job's.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not name.startswith(("SLURM_", "SBATCH_", "SLURMD_"))
    }
