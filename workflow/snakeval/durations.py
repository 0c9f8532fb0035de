"""How long evaluations took, learned from every finished run, to start the long ones first.

Kept in ``$SNAKEVAL_HOME/durations.json``: digest of a benchmark's definition -> model -> seconds. A
hint only: nothing depends on it but the order of jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from snakeval.evaluation import Evaluation, digest
from snakeval.files import home, write_if_changed


class Durations:
    """Seconds by benchmark and model."""

    def __init__(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        self._seconds = {
            benchmark: {model: float(known) for model, known in models.items()}
            for benchmark, models in seconds.items()
        }

    @classmethod
    def load(cls) -> Durations:
        """Read what was learned; nothing where there is none, or it cannot be read."""
        try:
            return cls(json.loads(_path().read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError, TypeError):
            return cls({})

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def expect(self, evaluation: Evaluation) -> float | None:
        """Return the seconds that *evaluation* took before, or else takes on other models."""
        known = self._seconds.get(_key(evaluation))
        if not known:
            return None
        return known.get(evaluation.identity.model_id) or mean(known.values())

    def learn(self, evaluation: Evaluation, seconds: float) -> None:
        """Remember that *evaluation* took so many *seconds*."""
        models = self._seconds.setdefault(_key(evaluation), {})
        models[evaluation.identity.model_id] = round(seconds, 1)

    def save(self) -> None:
        """Write it for the next run."""
        write_if_changed(_path(), json.dumps(self._seconds, sort_keys=True))


def _path() -> Path:
    return home() / "durations.json"


def _key(evaluation: Evaluation) -> str:
    identity = evaluation.identity
    return digest([identity.harness, identity.task, dict(identity.params)])[:16]
