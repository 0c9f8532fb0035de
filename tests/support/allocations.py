"""Allocations of a served model and an endpoint, and how long their evaluations took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.durations import Durations
from snakeval.matrix.expand import deployments, expand
from support.configs import COMMAND, MODEL, config

SERVER = {"kind": "generic", "command": "serve {{ port }}", "gpus": 2}
SIX = {f"b{n}": COMMAND | {"task": f"t{n}"} for n in range(6)}


def content(slurm: Mapping[str, Any] = {}, **more: Any) -> dict[str, Any]:
    """A served model `m`, and `e`, an endpoint."""
    return {
        "models": {"m": {"deployment": SERVER}, "e": MODEL},
        "benchmarks": dict(SIX),
        "execution": {"slurm": dict(slurm)},
        **more,
    }


class Opened(Allocations):
    """Allocations with the evaluations that they are of, by their ids."""

    def __init__(self, place: Path, data: Mapping[str, Any], **options: Any) -> None:
        read = config(place, data)
        self.by_id = {evaluation.id: evaluation for evaluation in expand(read)}
        given: dict[str, Any] = {
            "remote": True, "slots": 2, "head": True, "saved": place / "allocations.json",
            "missing": lambda evaluation: True, "busy": lambda: False,
        }  # fmt: skip
        chosen = {(e.model, e.benchmark): e for e in self.by_id.values()}
        super().__init__(read, chosen, deployments(read), **given | options)

    def __getitem__(self, id: str) -> Evaluation:
        return self.by_id[id]

    def groups(self, model: str = "m") -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for evaluation in self.by_id.values():
            if evaluation.model == model:
                found.setdefault(str(self.group(evaluation)), []).append(evaluation.benchmark)
        return found


def learned(allocations: Opened, *minutes: float, loading: float = 10) -> None:
    """Have it known how long the evaluations of `m` and its loading took."""
    durations = Durations.load()
    for each, evaluation in zip(minutes, allocations.by_id.values(), strict=False):
        durations.learn(evaluation, 60 * each)
    durations.learn_loading(allocations._deployed["m"], 60 * loading)
    durations.save()
