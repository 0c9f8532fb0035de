"""Snakemake executor for NVIDIA DGX Cloud Lepton (``snakemake --executor lepton``).

A rule's own shell command runs as a batch job in the rule's own container; the image needs a shell
and tar, and no Snakemake. What Snakemake looks for are the three names below.

Snakemake imports every executor plugin at every start, and one that fails to import ends them all.
So this module imports nothing of NVIDIA's library, which takes a second and may be missing.
"""

from __future__ import annotations

from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from snakemake_executor_plugin_lepton.libraries import LEPTONAI, cannot_import
from snakemake_executor_plugin_lepton.settings import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Makes the executor of :mod:`.executor` when a workflow starts; has no instances itself."""

    def __new__(cls, workflow: Any, logger: Any) -> Any:
        """Import the executor and NVIDIA's library with it, and return a new one."""
        try:
            from snakemake_executor_plugin_lepton import executor
        except ImportError as error:
            text = cannot_import("The executor lepton", LEPTONAI, error)
            # Snakemake adds a line of the traceback to a WorkflowError.
            raise ApiError(text) from None
        return executor.Executor(workflow, logger)
