"""The lines of a dry run about jobs: those of a run, and those that the site refuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snakeval.dag import walltimes
from snakeval.executors import of_plugin
from snakeval.executors.base import Executor

if TYPE_CHECKING:
    from snakeval.dag.matrix import Matrix

#: ``snakeval run --dry-run --check`` sets it: ask the site.
CHECK = "SNAKEVAL_CHECK"


def notes(workflow: Any, matrix: Matrix) -> list[str]:
    """Return the lines of a dry run; a start only warns.

    Raises:
        SystemExit: the site refuses a job, or the executor's package is not installed.
    """
    jobs = matrix.jobs
    if not jobs:
        return []
    executor, settings = executor_and_settings(sys.argv[1:])
    is_dry = getattr(getattr(workflow, "output_settings", None), "dryrun", False)
    # In a dry run, Snakemake does not load its executor, which would say so itself.
    if is_dry and (lacks := executor.lacks(str(settings.get("executor") or ""))):
        raise SystemExit(f"snakeval: {lacks}")
    lines = [
        *walltimes.warnings(jobs, matrix.invocation.deployed),
        *executor.warnings(matrix.missing, settings),
    ]
    if not is_dry:
        return lines
    lines = [*executor.plan(jobs), *lines]
    if os.environ.get(CHECK):
        if refused := list(executor.refusals(jobs)):
            raise SystemExit("\n".join([*lines, *(f"snakeval: refused: {r}" for r in refused)]))
        lines.append(f"{executor.title or 'The executor'} refuses none of the jobs")
    return lines


def executor_of(words: Sequence[str]) -> Executor:
    """Return the executor that a command line chooses: with ``-n``, Snakemake forgets it."""
    return executor_and_settings(words)[0]


def executor_and_settings(words: Sequence[str]) -> tuple[Executor, Mapping[str, Any]]:
    """Return the executor that a command line chooses, and all options, also of its profile."""
    from snakemake import cli

    parser: Any = cli.get_argument_parser  # without annotations
    given, _ = parser().parse_known_args(words)
    if given.profile:
        given, _ = parser(profiles=given.profile).parse_known_args(words)
    return of_plugin(given.executor or "local"), vars(given)
