"""snakeval: evaluate any LLM on any benchmark, anywhere, and never lose a finished result.

The names of this package that programs may use are :func:`run`, :func:`results`,
:func:`samples` and :func:`snakefile`::

    import snakeval
    run = snakeval.run("evaluation.yaml", limit=10)
    table = snakeval.results(run)
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakeval.cli.api import results, run, samples, snakefile

__version__ = "0.1.0"
__all__ = ["__version__", "results", "run", "samples", "snakefile"]


def __getattr__(name: str) -> Any:
    """Import a function when it is used: jobs and `snakeval --version` need none."""
    if name in __all__:
        # By its name, since each layer imports this package and none imports the commands.
        return getattr(importlib.import_module("snakeval.cli.api"), name)
    raise AttributeError(f"module 'snakeval' has no attribute '{name}'")


class _Package(ModuleType):
    """This package, which keeps its functions although two folders have the same names.

    Python sets ``snakeval.run`` to the folder as soon as a module of the folder is imported. The
    import system finds the folder without that attribute.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
