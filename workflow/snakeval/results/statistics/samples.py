"""The scores of one metric, sample by sample.

The other modules of this folder compute with them: intervals, differences and averages. Every
formula is SciPy's or statsmodels', and each docstring names the method's source. All numbers keep
the scale of the scores. A bound that cannot be computed is None, with a reason. Both libraries take
a second to import, so functions import them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from snakeval.harnesses.adapter import Sample

#: How far the mean of samples may be from the score that the harness wrote and may have rounded.
_ROUNDING = 1e-4

Array = np.ndarray[tuple[int], np.dtype[Any]]
#: Task, metric and filter of a score, as in :class:`snakeval.evaluation.record.Metric`.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one metric by sample, in the harness's order; several answers are averaged.

    Attributes:
        ids: the samples' ids, each once.
        values: the samples' scores, all finite.
        groups: the samples' groups, if the benchmark has groups.
        answers: the largest number of answers to one question.
        unscored: how many samples have no finite score; ``values`` leaves them out.
    """

    ids: pd.Index[Any]
    values: Array
    groups: Array | None = None
    answers: int = 1
    unscored: int = 0

    @classmethod
    def of(cls, ids: Sequence[str], values: Sequence[float], groups: Sequence[str] = ()) -> Scores:
        """Return the scores of samples. A sample without a group is its own group.

        Answers to one question are not independent samples. Their mean counts, as in section 3.1
        of Miller 2024 (arXiv:2411.00640).
        """
        scores = np.asarray(values, dtype=float)
        named = pd.Index(np.asarray(ids, dtype=object), dtype=object)
        grouped = np.asarray(groups, dtype=object) if any(groups) else None
        finite = np.isfinite(scores)
        unscored = int((~finite).sum())
        if unscored:
            scores, named = scores[finite], named[finite]
            grouped = None if grouped is None else grouped[finite]
        answers = 1
        if not named.is_unique:
            frame = pd.DataFrame({"id": named, "value": scores, "group": grouped})
            by_id = frame.groupby("id", sort=False)
            answers = int(by_id.size().max())
            named = pd.Index(by_id.size().index.to_numpy(dtype=object), dtype=object)
            scores = by_id["value"].mean().to_numpy()
            if grouped is not None:
                grouped = by_id["group"].first().to_numpy(dtype=object)
        if grouped is not None:
            own = np.asarray([f"\0{name}" for name in named], dtype=object)
            grouped = np.where(grouped == "", own, grouped)
        return cls(named, scores, grouped, answers, unscored)

    @property
    def binary(self) -> bool:
        """Whether each score is 0 or 1: their mean is a proportion."""
        return bool(((self.values == 0) | (self.values == 1)).all())


def together(runs: Sequence[Scores]) -> Scores:
    """Return the mean score of each question over several runs of one benchmark."""
    ids = [name for run in runs for name in run.ids]
    values = np.concatenate([run.values for run in runs])
    groups = [
        "" if run.groups is None else run.groups[position]
        for run in runs
        for position in range(run.values.size)
    ]
    return Scores.of(ids, values.tolist(), groups)


def gather(samples: Iterable[Sample]) -> dict[Key, Scores]:
    """Return the scores by task, metric and filter."""
    columns: dict[Key, tuple[list[str], list[float], list[str]]] = {}
    for sample in samples:
        for metric, value in sample.scores.items():
            ids, values, groups = columns.setdefault(
                (sample.task, metric, sample.filter), ([], [], [])
            )
            ids.append(sample.id)
            values.append(value)
            groups.append(sample.group)
    return {key: Scores.of(*lists) for key, lists in columns.items()}


def scores_of(found: Mapping[Key, Scores], key: Key, value: float) -> tuple[Scores, float] | None:
    """Return the scores whose mean is *value*, and the scale: 1, or 100 for percentages.

    A metric that is not the mean of its samples (a ratio, a corpus score) has no scores. A harness
    may name a filter in its results and not in its samples, or the reverse. A group of tasks that
    counts each sample once has the scores of its tasks.
    """
    task, metric, filter_name = key
    candidates = [key, *(name for name in found if name[:2] == (task, metric) and name != key)]
    for name in candidates:
        if name in found and (scale := _scale(found[name], value)):
            return found[name], scale
    parts = {name[0]: part for name, part in found.items() if name[1:] == (metric, filter_name)}
    if key in found or len(parts) < 2:
        return None
    names = [f"{task}/{name}" for task, part in parts.items() for name in part.ids]
    together = Scores(
        pd.Index(names, dtype=object),
        np.concatenate([part.values for part in parts.values()]),
        _groups(parts),
        unscored=sum(part.unscored for part in parts.values()),
    )
    return (together, scale) if (scale := _scale(together, value)) else None


def _groups(parts: Mapping[str, Scores]) -> Array | None:
    """Return the groups of the samples of several tasks, each with its task's name."""
    if all(part.groups is None for part in parts.values()):
        return None
    return np.asarray(
        [
            f"{task}/{name}"
            for task, part in parts.items()
            for name in (part.ids if part.groups is None else part.groups)
        ],
        dtype=object,
    )


def _scale(scores: Scores, value: float) -> float:
    """Return the factor from the mean of *scores* to *value*: 1, 100, or 0 if neither fits."""
    if not scores.values.size:
        return 0.0
    mean = float(scores.values.mean())
    for scale in (1.0, 100.0):
        if math.isclose(value, scale * mean, rel_tol=_ROUNDING, abs_tol=scale * _ROUNDING):
            return scale
    return 0.0
