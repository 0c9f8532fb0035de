"""Snakemake executor plugin ``slurm-resume``: Slurm jobs that outlive Snakemake and their limits.

A subclass of the official ``snakemake-executor-plugin-slurm`` 2.8, whose settings and resources it
has. A Snakemake that comes after one that was killed takes over the jobs that still run; a job
that reached its time limit, was preempted or lost its node is submitted again without using up a
retry; Ctrl-C leaves no job behind. See :mod:`.settings`, and :mod:`.notes` for the files.

Snakemake imports every executor plugin at every start, and one that fails to import ends them all.
So without the official plugin this module has an executor that only reports what to install.
"""

from __future__ import annotations

from snakemake_executor_plugin_slurm_resume import official

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

if not official.problem():
    from snakemake_executor_plugin_slurm import common_settings

    from snakemake_executor_plugin_slurm_resume.executor import Executor
    from snakemake_executor_plugin_slurm_resume.settings import ExecutorSettings
else:
    from snakemake_executor_plugin_slurm_resume.absent import (  # type: ignore[assignment]
        Executor,
        ExecutorSettings,
        common_settings,
    )
