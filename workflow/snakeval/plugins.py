"""Finds executors, harnesses, runtimes, deployments and exporters, built in or installed.

Each kind is an entry-point group, ``snakeval.<kind>``. The table below lists the built-in ones.
A module is imported when its name is used. The metadata of installed packages is read only to
list names, or to find a name that is not built in: reading it takes longer than a job's start.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from snakeval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

EXECUTORS, HARNESSES, RUNTIMES, DEPLOYMENTS, EXPORTERS = (
    "executors", "harnesses", "runtimes", "deployments", "exporters",
)  # fmt: skip

#: kind -> name -> ``module`` or ``module:attribute``.
BUILT_IN: Mapping[str, Mapping[str, str]] = {
    EXECUTORS: {
        "local": "snakeval.executors.local:Local",
        "slurm": "snakeval.executors.slurm.executor:Slurm",
        "lepton": "snakeval.executors.lepton.executor:Lepton",
    },
    HARNESSES: {
        "lm-eval": "snakeval.harnesses.lm_eval",
        "nemo": "snakeval.harnesses.nemo",
        "generic": "snakeval.harnesses.generic",
    },
    RUNTIMES: {
        "docker": "snakeval.runtimes.docker",
        "podman": "snakeval.runtimes.podman",
        "apptainer": "snakeval.runtimes.apptainer",
        "pyxis": "snakeval.runtimes.pyxis",
        "process": "snakeval.runtimes.process",
    },
    # Their facts are data: catalogue/deployments.yaml.
    DEPLOYMENTS: {},
    EXPORTERS: {
        "local": "snakeval.exporters.local:Local",
        "wandb": "snakeval.exporters.wandb:Wandb",
        "mlflow": "snakeval.exporters.mlflow:Mlflow",
        "gsheets": "snakeval.exporters.gsheets:GSheets",
    },
}


#: The hint of an error that only the author of a package can fix.
FIX = "fix the package that provides it"


class UnknownPlugin(ConfigError):
    """Neither a built-in nor an installed plugin has that name."""


def group(kind: str) -> str:
    """Return the entry-point group of a kind."""
    return f"snakeval.{kind}"


def names(kind: str) -> list[str]:
    """Return the names that a kind has, built-in ones first."""
    return [*BUILT_IN[kind], *sorted(set(installed(kind)) - set(BUILT_IN[kind]))]


@cache
def installed(kind: str) -> dict[str, EntryPoint]:
    """Return the entry points of other packages for a kind, by name."""
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=group(kind))}


def origin(kind: str, name: str) -> str:
    """Return name and version of the package of an installed plugin."""
    package = installed(kind)[name].dist
    return f"{package.name} {package.version}" if package else ""


def load(kind: str, name: str) -> Any:
    """Import the plugin *name* and return its class, object or module.

    Raises:
        UnknownPlugin: no plugin has that name; the message suggests the nearest one.
        ConfigError: the plugin's package cannot be imported.
    """
    if name in BUILT_IN[kind]:
        module, _, attribute = BUILT_IN[kind][name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    return _load_installed(kind, name)


@cache
def _load_installed(kind: str, name: str) -> Any:
    try:
        entry = installed(kind)[name]
    except KeyError:
        known = names(kind)
        hint = nearest(name, known) or f"choose one of {', '.join(known) or 'none'}"
        raise UnknownPlugin(f"no '{name}' among the {kind}", hint=hint) from None
    try:
        return entry.load()
    except Exception as error:  # the module of a package can raise anything
        raise ConfigError(
            f"{entry.value} cannot be imported ({error})", where=name, hint=FIX
        ) from None
