"""Durations of evaluations and model loads, learned from every finished run.

Kept in ``$SNAKEVAL_HOME/durations.json``: digest of a benchmark's definition -> model -> seconds. A
hint only: the order of jobs and their packing into allocations depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from snakeval import catalogue
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.files import DAMAGE, home, read_json, write_if_changed
from snakeval.serving.deployment import Deployment

#: Assumed in a first run, in seconds: for an answer, and to load a model.
_ANSWER_SECONDS = 5.0
_LOADING_SECONDS = 300.0
#: Samples of a data set whose size is not in the catalogue.
_SAMPLES = 1000
#: Replaces a model's name: the time to load a deployment.
_LOADING = "loading"


class Durations:
    """Seconds by benchmark and model."""

    def __init__(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        self._seconds = {
            benchmark: {model: float(known) for model, known in models.items()}
            for benchmark, models in seconds.items()
        }

    @classmethod
    def load(cls) -> Durations:
        """Read the known durations; nothing if the file is absent or damaged."""
        try:
            return cls(read_json(str(_path())) or {})
        except (OSError, *DAMAGE):
            return cls({})

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def expect(self, evaluation: Evaluation) -> float | None:
        """Return the seconds that *evaluation* took before, or its mean on other models."""
        known = self._seconds.get(_key(evaluation))
        if not known:
            return None
        return known.get(evaluation.identity.model_id) or mean(known.values())

    def guess(self, evaluation: Evaluation) -> float:
        """Return the expected seconds, or a guess from the catalogue's number of samples."""
        known = self.expect(evaluation)
        if known is not None:
            return known
        params = evaluation.identity.params
        size = catalogue.samples(params.get("task") or evaluation.identity.task) or _SAMPLES
        samples = min(size, params.get("limit_samples") or size)
        return samples * _ANSWER_SECONDS / evaluation.transport.parallelism

    def loading(self, deployment: Deployment) -> float:
        """Return the seconds that *deployment* takes to be ready, or a guess."""
        known = self._seconds.get(_deployment_key(deployment), {})
        return known.get(_LOADING, _LOADING_SECONDS)

    def learn_loading(self, deployment: Deployment, seconds: float) -> None:
        """Record the *seconds* that *deployment* took to be ready."""
        self._seconds[_deployment_key(deployment)] = {_LOADING: round(seconds, 1)}

    def learn(self, evaluation: Evaluation, seconds: float) -> None:
        """Record the *seconds* that *evaluation* took."""
        models = self._seconds.setdefault(_key(evaluation), {})
        models[evaluation.identity.model_id] = round(seconds, 1)

    def save(self) -> None:
        """Write the durations for the next run."""
        write_if_changed(_path(), json.dumps(self._seconds, sort_keys=True))


def _path() -> Path:
    return home() / "durations.json"


def _deployment_key(deployment: Deployment) -> str:
    return digest([_LOADING, asdict(deployment.definition)])[:16]


def _key(evaluation: Evaluation) -> str:
    identity = evaluation.identity
    return digest([identity.harness, identity.task, dict(identity.params)])[:16]
