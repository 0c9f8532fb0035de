"""snakeval: evaluate any LLM on any benchmark, anywhere, and never lose a finished result.

The names of this package that programs may use are :func:`results` and :func:`snakefile`::

    import snakeval
    table = snakeval.results("results/2026-11-30-14-37-58-227b133b")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakeval.cli.api import results, snakefile

__version__ = "0.1.0"
__all__ = ["__version__", "results", "snakefile"]


def __getattr__(name: str) -> Any:
    """Import a function when it is used: jobs and `snakeval --version` need none."""
    if name in __all__:
        # By its name, since each layer imports this package and none imports the commands.
        return getattr(importlib.import_module("snakeval.cli.api"), name)
    raise AttributeError(f"module 'snakeval' has no attribute '{name}'")
