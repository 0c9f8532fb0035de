"""A series of checkpoints that a test writes, and what commands on a run decide about them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.load import load
from snakeval.matrix.expand import split
from snakeval.matrix.facts import Facts
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from snakeval.series.load import Expansion
from snakeval.series.settle import Settled, settle
from support.checkpoints import checkpoint
from support.configs import COMMAND, MODEL, write

SERVED = {"kind": "generic", "command": "serve"}
ASKS = COMMAND | {"command": "ask {{ url }}"}
#: Long after the files of a test changed.
LATER: Callable[[], float] = (4e9).__float__


class Training:
    """A series `run7`, whose checkpoints a test writes, and a run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run = RunDirectory(directory / "2026-01-02-03-04-05-0123abcd")
        self.run.make()
        self.waited: list[float] = []

    def step(self, number: int) -> Path:
        return self.directory / f"train/step-{number}"

    def write(self, **weights: str) -> None:
        """Write `s100="a"` as the checkpoint of step 100 with the weights a."""
        for name, content in weights.items():
            shutil.rmtree(self.step(int(name[1:])), ignore_errors=True)
            checkpoint(self.step(int(name[1:])), content.encode())

    def config(self, **keys: Any) -> Config:
        series = {"pattern": f"{self.directory}/train/step-{{step}}", **keys}
        models = {"run7": {"deployment": SERVED, "checkpoints": series}, "m": MODEL}
        file = write(self.directory, {"models": models, "benchmarks": {"b": ASKS, "c": ASKS}})
        return load([file], {}, Expansion(False, clock=LATER))[0]

    def settle(
        self, *chosen: str, starts: bool = True, config: Config | None = None, **keys: Any
    ) -> Settled:
        return settle(
            config or self.config(**keys),
            self.run,
            chosen or None,
            starts=starts,
            sleep=self.waited.append,
            clock=LATER,
        )

    def start(self, *chosen: str, **keys: Any) -> tuple[Settled, dict[str, Planned]]:
        """Plan as a start does, and save the plan; return it by `model/benchmark`."""
        found = self.settle(*chosen, **keys)
        found.note(self.run)
        facts = Facts(self.run, starts=True, looked=found.weights)
        jobs, points = found.shared(split(found.plans, facts)[0])
        plan = [
            *(Planned(each.model, each.benchmark, each.fingerprint) for each in jobs),
            *points,
            *found.rows(self.run),
        ]
        self.run.write_plan(plan)
        return found, {item.id: item for item in plan}
