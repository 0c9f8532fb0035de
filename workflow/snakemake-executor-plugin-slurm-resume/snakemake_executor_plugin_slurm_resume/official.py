"""Reports whether the official Slurm plugin is installed in a version that this plugin extends.

The module works without the official plugin and imports nothing of it.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

NAME = "snakemake-executor-plugin-slurm"
#: The versions that pyproject.toml allows.
REQUIREMENT = f"{NAME}>=2.8,<2.9"
_SERIES = "2.8."


def problem() -> str:
    """Return why the official plugin cannot be used and what to install; empty if it can."""
    found = _version(NAME)
    if found.startswith(_SERIES):
        return ""
    reason = f"and {found} is installed" if found else "which is not installed"
    return f"The executor slurm-resume requires {NAME} 2.8, {reason}: {_install_command()}"


def _install_command() -> str:
    """Return the command that installs the plugin: as snakeval's extra, or its own requirement."""
    return f"pip install '{'snakeval[slurm]' if _version('snakeval') else REQUIREMENT}'"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
