"""Replaces the executor if the official plugin is not installed, or in another version.

Snakemake accepts the same options and can show a dry run. A real start reports what to install.
"""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import Any, NoReturn

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from snakemake_executor_plugin_slurm_resume import official

common_settings = CommonSettings(
    non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False
)

# The names of all settings: Snakemake rejects a profile with an option that it does not know.
_FLAGS = (
    "direct", "disable_memory_fudge", "efficiency_report", "keep_successful_logs", "no_account",
    "no_requeue", "pass_command_as_script", "requeue",
)  # fmt: skip
_VALUES = (
    "array_jobs", "array_limit", "before", "delete_logfiles_older_than", "efficiency_report_path",
    "efficiency_threshold", "exclude_failed_nodes", "init_seconds_before_status_checks",
    "jobname_prefix", "logdir", "max_seconds_between_status_checks", "max_total_runtime",
    "partition_config", "qos", "reservation", "signal_seconds", "status_attempts",
    "status_command",
)  # fmt: skip


def _setting(name: str, kind: Any, default: Any) -> tuple[str, Any, Any]:
    help = f"Requires {official.NAME} 2.8."
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
    """Reports what to install, instead of starting."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # Snakemake adds a line of the traceback to a WorkflowError.
        raise ApiError(official.problem())

    def run_job(self, job: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError

    def check_active_jobs(self, active_jobs: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError

    def cancel_jobs(self, active_jobs: Any) -> NoReturn:
        """Never called: there is no instance."""
        raise NotImplementedError
