"""Snakemake executor for NVIDIA DGX Cloud Lepton (``snakemake --executor lepton``).

A rule's own shell command runs as a batch job in the rule's own container; the image needs a shell
and tar, and no Snakemake. What Snakemake looks for are the three names below.
"""

from snakemake_executor_plugin_lepton.executor import Executor
from snakemake_executor_plugin_lepton.settings import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
