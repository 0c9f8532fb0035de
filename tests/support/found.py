"""Runs of configurations in files, as commands find and start them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from snakeval.config.load import load
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.expand import expand
from snakeval.run.find import Run, find
from snakeval.run.plan import Planned
from support.configs import changed, config, write

NOON = datetime(2026, 11, 24, 12)
HOT = changed("benchmarks", "b", "params", to={"temperature": 0.5})


def evaluations_of(content: dict[str, Any], directory: Path) -> Sequence[Evaluation]:
    return expand(config(directory, content))


def run_of(
    directory: Path,
    content: dict[str, Any],
    choice: str | None = None,
    *,
    file: str = "c.yaml",
    now: datetime = NOON,
) -> Run:
    """The run of a configuration in a file, whose runs are in `out`."""
    (directory / file).parent.mkdir(exist_ok=True)
    path = write(directory, content, file)
    made, _, _ = load([path], {"output_dir": str(directory / "out")})
    found = expand(made)
    return find(made, choice, files=[path], evaluations=lambda run: found, now=now)


def started(run: Run, content: dict[str, Any], directory: Path) -> Run:
    """Start a run as `Start` does: the parts by which it is found again."""
    run.start()
    plan = [
        Planned(e.model, e.benchmark, e.fingerprint) for e in evaluations_of(content, directory)
    ]
    run.directory.write_plan(plan)
    return run
