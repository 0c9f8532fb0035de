"""Checks before anything runs: variables, destinations of exports, and space for results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError

#: A run writes at least its plan and its logs, which require this much space.
_MIN_FREE_BYTES = 20 * 1024 * 1024


def check(invocation: Invocation, environment: Mapping[str, str] = os.environ) -> None:
    """Find now what would fail later: an unset variable, an output directory without space.

    Raises:
        ConfigError: one line a problem.
    """
    problems = [
        *_of_evaluations(invocation, environment),
        *_of_exports(invocation),
        *_of_directory(invocation),
        *_of_deployments(invocation, environment),
    ]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _of_evaluations(invocation: Invocation, environment: Mapping[str, str]) -> Iterator[str]:
    for evaluation in invocation.selected.values():
        transport = evaluation.transport
        where = f"models.{evaluation.model}.endpoint.api_key_name"
        if transport.api_key_name and not environment.get(transport.api_key_name):
            yield f"{where}: ${transport.api_key_name} is not set; export it"
        for name in transport.env.values():
            if name not in environment:
                yield f"benchmarks.{evaluation.benchmark}.env: ${name} is not set; export it"
        for asked, name in transport.auxiliary_keys.items():
            if not environment.get(name):
                key = f"auxiliary.{asked}.endpoint.api_key_name"
                yield f"{key}: ${name} is not set; export it"


def _of_exports(invocation: Invocation) -> list[str]:
    if not invocation.config.export:
        return []
    from snakeval.exporters import configured

    try:
        configured(invocation.config.export)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _of_directory(invocation: Invocation) -> list[str]:
    problem = why_no_room(invocation.directory)
    return [f"output_dir: {problem}"] if problem else []


def _of_deployments(invocation: Invocation, environment: Mapping[str, str]) -> Iterator[str]:
    chosen = {name for e in invocation.selected.values() for name in e.transport.servers}
    for model, deployment in invocation.deployed.items():
        for name in deployment.serving.env.values() if model in chosen else ():
            if name not in environment:
                section = "models" if model in invocation.config.models else "auxiliary"
                yield f"{section}.{model}.deployment.env: ${name} is not set; export it"


def why_no_room(directory: Path) -> str:
    """Return why nothing can be written below *directory*, or an empty text. Writes nothing."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is a file; name a directory"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} cannot be written; name another directory or correct its permissions"
    free = shutil.disk_usage(existing).free
    if free < _MIN_FREE_BYTES:
        return f"no space left at {existing} ({free // 1024} KiB free); free some"
    return ""
