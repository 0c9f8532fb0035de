"""What executors of other packages are asked for, layered from their sections of ``execution``."""

from __future__ import annotations

from typing import Any

from snakeval.catalogue import plugins
from snakeval.config.execution import Execution


def resources(*layers: Execution | None) -> dict[str, str | int]:
    """Return Snakemake's resources for what the last of *layers* says, key by key.

    Which option is which resource, the executor declares.
    """
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for name, section in (layer.installed if layer is not None else {}).items():
            merged.setdefault(name, {}).update(section.model_dump(exclude_unset=True))
    found: dict[str, str | int] = {}
    for name, options in merged.items():
        declared = plugins.load(plugins.EXECUTORS, name)().resources()
        for option, resource in declared.items():
            if options.get(option) is not None:
                found[resource] = options[option]
    return found
