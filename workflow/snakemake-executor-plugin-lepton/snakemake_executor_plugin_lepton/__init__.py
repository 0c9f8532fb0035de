"""Snakemake executor for NVIDIA DGX Cloud Lepton (``snakemake --executor lepton``).

A rule's own shell command runs as a batch job in the rule's own container. The image requires a
shell and tar, but no Snakemake. Snakemake finds the plugin by the three names below.

Snakemake imports every executor plugin at every start, and an import error ends any Snakemake. This
module therefore imports no NVIDIA library, which takes a second and may be missing.
"""

from __future__ import annotations

from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from snakemake_executor_plugin_lepton.libraries import LEPTONAI, cannot_import
from snakemake_executor_plugin_lepton.settings import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Creates the executor of :mod:`.executor` when a workflow starts; has no instances itself."""

    def __new__(cls, workflow: Any, logger: Any) -> Any:
        """Import the executor and with it NVIDIA's library, and return a new executor."""
        try:
            from snakemake_executor_plugin_lepton import executor
        except ImportError as error:
            text = cannot_import("The executor lepton", LEPTONAI, error)
            # Snakemake adds a line of the traceback to a WorkflowError.
            raise ApiError(text) from None
        return executor.Executor(workflow, logger)
