"""Stands in where the official plugin is not installed, or is another version."""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import Any, NoReturn

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(
    non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False
)

#: What profiles set most, so that they come as far as the message below.
_FLAGS = ("requeue", "no_requeue", "keep_successful_logs", "no_account", "direct")
_VALUES = (
    "jobname_prefix", "logdir", "init_seconds_before_status_checks", "signal_seconds",
    "max_seconds_between_status_checks", "max_total_runtime", "delete_logfiles_older_than",
    "partition_config", "exclude_failed_nodes", "qos", "reservation",
)  # fmt: skip


def _setting(name: str, kind: Any, default: Any) -> tuple[str, Any, Any]:
    help = "Needs snakemake-executor-plugin-slurm."
    return (name, kind, field(default=default, metadata={"help": help}))


ExecutorSettings = make_dataclass(
    "ExecutorSettings",
    [
        *(_setting(name, bool, False) for name in _FLAGS),
        *(_setting(name, str, "") for name in _VALUES),
    ],
    bases=(ExecutorSettingsBase,),
)


class Executor(RemoteExecutor):
    """Says what is missing."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        from snakemake_executor_plugin_slurm_resume import found

        what = f"it is {found}" if found else "it is not installed"
        raise WorkflowError(
            f"The executor slurm-resume needs snakemake-executor-plugin-slurm 2.8, and {what}; "
            "pip install 'snakemake-executor-plugin-slurm>=2.8,<2.9'"
        )

    def run_job(self, job: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError

    def check_active_jobs(self, active_jobs: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError

    def cancel_jobs(self, active_jobs: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError
