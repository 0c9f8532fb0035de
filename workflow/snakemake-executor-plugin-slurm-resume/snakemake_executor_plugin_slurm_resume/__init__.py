"""Snakemake executor plugin ``slurm-resume``: Slurm jobs that outlive Snakemake and their limits.

The executor is a subclass of the official ``snakemake-executor-plugin-slurm`` 2.8, with the same
settings and resources. If Snakemake is killed, the next one adopts the jobs that still run. A job
that reached its time limit, was preempted or lost its node is submitted again without a retry.
Ctrl-C leaves no job behind. :mod:`.settings` has the settings, and :mod:`.notes` the files.

Snakemake imports every executor plugin at every start, and an import error ends any Snakemake.
Without the official plugin, this module therefore has an executor that reports what to install.
The attributes are loaded when they are asked for: :mod:`.waits` also serves programs that have no
need of Snakemake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakemake_executor_plugin_slurm import common_settings

    from snakemake_executor_plugin_slurm_resume.executor import Executor
    from snakemake_executor_plugin_slurm_resume.settings import ExecutorSettings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from snakemake_executor_plugin_slurm_resume import official

    module: Any
    if official.problem():
        from snakemake_executor_plugin_slurm_resume import absent as module
    elif name == "common_settings":
        import snakemake_executor_plugin_slurm as module
    elif name == "Executor":
        from snakemake_executor_plugin_slurm_resume import executor as module
    else:
        from snakemake_executor_plugin_slurm_resume import settings as module
    return getattr(module, name)
