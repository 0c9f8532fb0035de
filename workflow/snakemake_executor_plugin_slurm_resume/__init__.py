"""Snakemake executor plugin ``slurm-resume``: Slurm jobs that outlive Snakemake and their limits.

A subclass of the official ``snakemake-executor-plugin-slurm`` 2.8, whose settings and resources it
has. A Snakemake that comes after one that was killed takes over the jobs that still run; a job
that reached its time limit, was preempted or lost its node is submitted again without using up a
retry; Ctrl-C leaves no job behind. See :mod:`.settings`, and :mod:`.notes` for the files.

The official plugin is an extra. Snakemake imports every executor plugin that it finds, so without
it this one must still be importable, and says what is missing when it is asked for.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

_NEEDED = "snakemake-executor-plugin-slurm"

try:
    found = version(_NEEDED)
except PackageNotFoundError:
    found = ""

if found.startswith("2.8."):
    from snakemake_executor_plugin_slurm import common_settings

    from snakemake_executor_plugin_slurm_resume.executor import Executor
    from snakemake_executor_plugin_slurm_resume.settings import ExecutorSettings
else:
    from snakemake_executor_plugin_slurm_resume.absent import (  # type: ignore[assignment]
        Executor,
        ExecutorSettings,
        common_settings,
    )
