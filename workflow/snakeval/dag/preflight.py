"""Checks before anything runs: variables, destinations of exports, and space for results."""
# ruff: noqa: PTH110, PTH114

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from snakeval.config.member_names import series_of
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError, Problem
from snakeval.files import make_way, make_way_for_file
from snakeval.matrix.ledger import idle_keys
from snakeval.run.find import OtherDefinitionError, is_same
from snakeval.run.heads import heads
from snakeval.serving.directory import DeploymentDirectory

#: A run writes at least its plan and its logs, which require this much space.
_MIN_FREE_BYTES = 20 * 1024 * 1024
#: How many evaluations are listed that another command defines differently.
_MOST = 20


def refuse_other_definitions(invocation: Invocation, *, entered: bool = False) -> None:
    """Check that no command works at the run now that defines an evaluation differently.

    With *entered*, this command is one of those that work at the run. Of two that began at the same
    time, the later one fails.

    Raises:
        OtherDefinitionError: a command does; there is a line for each evaluation.
    """
    run = invocation.directory
    working = heads(run, writes=False) if run.exists else []
    own = next((h for h in working if (h.host, h.pid) == (socket.gethostname(), os.getpid())), None)
    evaluations = {evaluation.id: evaluation for evaluation in invocation.everything}
    problems = []
    for head in working:
        # A head that this process cannot see counts as long as it shows that it lives.
        lives = head.lives or (head.lives is None and head.beats > 0)
        if head is own or not lives or head.invocation in ("", invocation.key):
            continue
        if entered and own and (own.since, own.host, own.pid) < (head.since, head.host, head.pid):
            continue
        for item in run.invocation(head.invocation).plan() or ():
            if head.models and item.model not in head.models:
                continue  # another command may start the new content of an overwritten checkpoint
            found = evaluations.get(item.id)
            if head.models and series_of(item.model) and item.model not in head.models:
                continue  # a row of an earlier plan: the head works at other checkpoints
            if found and item.fingerprint and not is_same(found, item.fingerprint):
                by = f"process {head.pid} on {head.host}"
                problems.append(
                    Problem(
                        f"{by} works at run {run.id} with a different definition",
                        found.id,
                        "wait for its end, or start a new run with --config run=new",
                    )
                )
    if problems:
        raise OtherDefinitionError.of(problems[:_MOST])


def make_way_for_directories(invocation: Invocation, *, starts: bool) -> None:
    """Move aside what Snakemake would fail at: no directory in the place of one, a broken link.

    Without *starts*, the function moves nothing.

    Raises:
        ConfigError: there is something to move.
    """
    run = invocation.directory
    if not run.exists:
        return
    deployed = [DeploymentDirectory.of(run, name) for name in invocation.deployed]
    names = [evaluation.id for evaluation in invocation.everything]
    found = run.misplaced([*names, *(directory.name for directory in deployed)])
    records = [invocation.record(evaluation) for evaluation in invocation.everything]
    outputs = [*records, *(each.output for each in deployed), *map(str, run.outputs)]
    links = [Path(path) for path in outputs if os.path.islink(path) and not os.path.exists(path)]
    if starts:
        for path in found:
            make_way(path)
        for path in links:
            make_way_for_file(path)
    elif found := [*found, *links]:
        hint = "remove it, or start the run, which moves it aside"
        raise ConfigError.of(Problem("is no file of the run", str(path), hint) for path in found)


def check(
    invocation: Invocation,
    environment: Mapping[str, str] = os.environ,
    *,
    reads_variables: bool = True,
    starts: bool = True,
) -> None:
    """Find now what would fail later: an unset variable, an output directory without space.

    Without *reads_variables*, jobs get secrets from another place than *environment*. A command
    that starts nothing writes nothing, so it only reports an output directory without space.

    Raises:
        ConfigError: one line a problem.
    """
    refuse_other_definitions(invocation)
    problems = [
        *(_of_evaluations(invocation, environment) if reads_variables else ()),
        *_of_exports(invocation),
        *(_of_directory(invocation) if starts else ()),
        *(_of_deployments(invocation, environment) if reads_variables else ()),
    ]
    if problems:
        raise ConfigError.of(problems)
    for problem in () if starts else _of_directory(invocation):
        print(f"snakeval: the run would fail: {problem}", file=sys.stderr)


def _of_evaluations(invocation: Invocation, environment: Mapping[str, str]) -> Iterator[Problem]:
    for evaluation in invocation.selected.values():
        transport, idle = evaluation.transport, idle_keys(evaluation)
        where = f"models.{evaluation.model}.endpoint.api_key_name"
        needs = transport.api_key_name and transport.asks(evaluation.model)
        if needs and not environment.get(transport.api_key_name):
            yield _unset(transport.api_key_name, where)
        for name in transport.env.values():
            if name not in environment and name not in idle:
                yield _unset(name, f"benchmarks.{evaluation.benchmark}.env")
        for asked, name in transport.auxiliary_keys.items():
            if transport.asks(asked) and not environment.get(name):
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
