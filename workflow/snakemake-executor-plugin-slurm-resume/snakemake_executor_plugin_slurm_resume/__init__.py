"""Snakemake executor plugin ``slurm-resume``: Slurm jobs that outlive Snakemake and their limits.

The executor is a subclass of the official ``snakemake-executor-plugin-slurm`` 2.8, with the same
settings and resources. If Snakemake is killed, the next one adopts the jobs that still run. A job
that reached its time limit, was preempted or lost its node is submitted again without a retry.
Ctrl-C leaves no job behind. :mod:`.settings` has the settings, and :mod:`.notes` the files.

Snakemake imports every executor plugin at every start, and an import error ends any Snakemake.
Without the official plugin, this module therefore has an executor that reports what to install.
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
