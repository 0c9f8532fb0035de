"""Layers the sections of ``execution`` into requests to executors of other packages."""

from __future__ import annotations

from typing import Any

from snakeval import plugins
from snakeval.config.execution import Execution


def resources(*layers: Execution | None) -> dict[str, str | int]:
    """Return Snakemake's resources; the last of *layers* that sets an option wins.

    The executor declares the resource of each option.
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
