"""Invocations of two models on two benchmarks, and their matrix, without Snakemake."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakeval.config.load import load
from snakeval.dag.invocation import Invocation
from snakeval.dag.lookup import Wildcards
from snakeval.dag.matrix import Matrix
from snakeval.dag.reruns import Reruns
from support.configs import COMMAND, MODEL, write

TWO = {"models": {"m": MODEL, "n": MODEL}, "benchmarks": {"b": COMMAND, "c": COMMAND}}

SERVER = {"kind": "generic", "command": "serve --port {{ port }}", "runtime": "process"}


def invocation(
    directory: Path, content: dict[str, Any] | str = TWO, *, starts: bool = False, **overrides: Any
) -> Invocation:
    file = write(directory, content)
    config, selection, _ = load([file], {"output_dir": str(directory / "out")} | overrides)
    return Invocation(config, selection, [file], starts=starts)


class Workflow:
    """What the bridge asks a workflow of Snakemake, for a head on one machine."""

    is_main_process = local_exec = True
    executor_plugin = None

    def __init__(self) -> None:
        nothing = SimpleNamespace(is_evaluable=lambda: False, value=None)
        self.resource_settings = SimpleNamespace(
            cores=1,
            nodes=None,
            _parsed_default_resources=SimpleNamespace(get=lambda name: nothing),
        )
        self.dag = SimpleNamespace(forcefiles=set())
        self.scheduler = SimpleNamespace(job_rate_limiter=None, _handle_error=lambda job: None)


def matrix(directory: Path, content: dict[str, Any] | str = TWO, **overrides: Any) -> Matrix:
    return Matrix(invocation(directory, content, **overrides), Workflow())


def reruns(opened: Invocation, *, head: bool = True) -> tuple[Reruns, set[str]]:
    """Return what reruns in an invocation, and the targets that are forced as they are asked."""
    forced: set[str] = set()

    def force(targets: Iterable[str]) -> None:
        forced.update(targets)

    return Reruns(opened, head=head, force=force), forced


def wildcards(model: str, benchmark: str) -> Wildcards:
    class Found:
        def __init__(self) -> None:
            self.model, self.benchmark = model, benchmark

    return Found()


def serving(**content: Any) -> dict[str, Any]:
    """Two deployed models on two benchmarks, which ask a deployed judge."""
    asks = COMMAND | {"auxiliary": ["judge"]}
    return {
        "runtime": "process",
        "models": {"m": {"deployment": SERVER | {"gpus": 2}}, "n": {"deployment": SERVER}},
        "auxiliary": {"judge": {"deployment": SERVER}, "unasked": {"deployment": SERVER}},
        "benchmarks": {"b": asks, "c": asks},
    } | content
