"""Reads the health of an evaluation when its harness has ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.health import Health
from snakeval.evaluation.health_reading import read_health
from snakeval.harnesses.generic import asks_nothing
from snakeval.harnesses.reading import read_unparsed


def health_of(
    evaluation: Evaluation, directory: EvaluationDirectory, artifacts: Path, ledger: str
) -> Health:
    """Return the health of the answers that the harness received, and of its *artifacts*.

    *ledger* is the mode of the gateway that asked for them.
    """
    if asks_nothing(evaluation):
        return Health(unknown="its harness asks no model")
    health = read_health(directory, ledger)
    if ledger == "off" and evaluation.transport.ledger != "off":
        health = Health(unknown="its image has no Python 3.9, and so no gateway")
    if (found := read_unparsed(evaluation, artifacts)) is not None:
        health = replace(health, unparsed=found[0], samples=found[1])
    return health
