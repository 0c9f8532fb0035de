"""The fields of a transport that are about the health of answers."""

from __future__ import annotations

from typing import Any

from snakeval.config.benchmarks import Benchmark
from snakeval.config.config import Config


def health_of(config: Config, benchmark: Benchmark, model: str) -> dict[str, Any]:
    """Return the rules of an evaluation, and the names that its answers have to have.

    A rule of the benchmark wins over one of the model, and that one over the run's.
    """
    asked = {model: config.models[model], **{n: config.auxiliary[n] for n in benchmark.auxiliary}}
    endpoints = {name: each.endpoint for name, each in asked.items()}
    layers = (config.health, config.models[model].health, benchmark.health)
    return {
        "health": {name: rule for layer in layers for name, rule in layer.plain().items()},
        "answers_as": {n: e.answers_as for n, e in endpoints.items() if e and e.answers_as},
    }
