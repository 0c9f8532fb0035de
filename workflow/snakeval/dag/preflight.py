"""Checks before anything runs: variables, destinations of exports, and space for results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError, Problem

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
        raise ConfigError.of(problems)


def _of_evaluations(invocation: Invocation, environment: Mapping[str, str]) -> Iterator[Problem]:
    for evaluation in invocation.selected.values():
        transport = evaluation.transport
        where = f"models.{evaluation.model}.endpoint.api_key_name"
        if transport.api_key_name and not environment.get(transport.api_key_name):
            yield _unset(transport.api_key_name, where)
        for name in transport.env.values():
            if name not in environment:
                yield _unset(name, f"benchmarks.{evaluation.benchmark}.env")
        for asked, name in transport.auxiliary_keys.items():
            if not environment.get(name):
                yield _unset(name, f"auxiliary.{asked}.endpoint.api_key_name")


def _of_exports(invocation: Invocation) -> tuple[Problem, ...]:
    if not invocation.config.export:
        return ()
    from snakeval.exporters import configured

    try:
        configured(invocation.config.export)
    except ConfigError as error:
        return error.problems
    return ()


def _of_directory(invocation: Invocation) -> list[Problem]:
    problem = no_room(invocation.directory.path)
    return [replace(problem, where="output_dir")] if problem else []


def _of_deployments(invocation: Invocation, environment: Mapping[str, str]) -> Iterator[Problem]:
    chosen = {name for e in invocation.selected.values() for name in e.transport.servers}
    for model, deployment in invocation.deployed.items():
        for name in deployment.serving.env.values() if model in chosen else ():
            if name not in environment:
                section = "models" if model in invocation.config.models else "auxiliary"
                yield _unset(name, f"{section}.{model}.deployment.env")


def _unset(variable: str, where: str) -> Problem:
    return Problem(f"${variable} is not set", where, "export it")


def no_room(directory: Path) -> Problem | None:
    """Return why nothing can be written below *directory*, if nothing can. Writes nothing."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return Problem(f"{existing} is a file", hint="name a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        fix = "name another directory or correct its permissions"
        return Problem(f"{existing} cannot be written", hint=fix)
    free = shutil.disk_usage(existing).free
    if free < _MIN_FREE_BYTES:
        left = f"no space left at {existing} ({free // 1024} KiB free)"
        return Problem(left, hint="free some")
    return None
