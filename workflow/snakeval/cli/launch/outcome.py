"""Prints the outcome of ``run``, ``resume``, ``rescore`` and ``eval`` for programs."""

from __future__ import annotations

import contextlib
from pathlib import Path

from snakeval.cli.output import emit, wants_json
from snakeval.errors import ConfigError
from snakeval.run.find import Run
from snakeval.watch.counts import counts


def report(
    run: Run,
    code: int,
    *,
    dry_run: bool = False,
    process: int | None = None,
    job: str | None = None,
    log: Path | None = None,
) -> None:
    """Print a run as JSON, if ``--json`` is set.

    *process* or *job* is what continues with the run after this command. A run that was only
    planned may have no directory, and then no counts.
    """
    if not wants_json():
        return
    found: dict[str, int] = {}
    with contextlib.suppress(ConfigError):  # it has no plan yet
        found = counts(run.directory)
    emit(
        {
            "id": run.id,
            "directory": str(run.directory.absolute()),
            "dry_run": dry_run,
            "exit_code": code,
            "done": found.get("done"),
            "failed": found.get("failed"),
            "total": found.get("total"),
            "process": process,
            "job": job,
            "log": None if log is None else str(log),
        }
    )
