"""Pairs samples with the metrics that they explain: scores by sample, and the scale of a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from snakeval.harnesses.adapter import Sample

#: The tolerance between the mean of samples and the harness's score, which may be rounded.
_ROUNDING = 1e-4

Array = np.ndarray[tuple[int], np.dtype[Any]]
#: The key of a score: task, metric and filter, as in :class:`snakeval.evaluation.record.Metric`.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one metric by sample, in the harness's order; several answers are averaged.

    Attributes:
        ids: the samples' ids, each once.
        values: finite scores.
        groups: the samples' groups, if the benchmark has groups.
        answers: the highest number of answers to one question.
        unscored: the number of samples without a finite score; they are excluded.
    """

    ids: pd.Index[Any]
    values: Array
    groups: Array | None = None
    answers: int = 1
    unscored: int = 0

    @classmethod
    def of(cls, ids: Sequence[str], values: Sequence[float], groups: Sequence[str] = ()) -> Scores:
        """Return the scores of samples. A sample without a group is its own group.

        Answers to one question are not independent samples. Their average counts, as in
        section 3.1 of Miller 2024 (arXiv:2411.00640).
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
        """Whether each score is 0 or 1: their mean is then a proportion."""
        return bool(((self.values == 0) | (self.values == 1)).all())


def together(runs: Sequence[Scores]) -> Scores:
    """Return each question's mean score over several runs of one benchmark."""
    ids = [name for run in runs for name in run.ids]
    values = np.concatenate([run.values for run in runs])
    groups = [
        "" if run.groups is None else run.groups[position]
        for run in runs
        for position in range(run.values.size)
    ]
    return Scores.of(ids, values.tolist(), groups)


def gather(samples: Iterable[Sample]) -> dict[Key, Scores]:
    """Group the scores of samples by task, metric and filter."""
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

    A metric that is not a mean of its samples (a ratio, a corpus score) has no such scores. A
    harness may name a filter only in its results, or only in its samples. A group of tasks that
    counts each sample the same has the scores of its tasks.
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
    """Return the groups of several tasks' samples; no group spans two tasks."""
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
    """Return the factor from the mean of *scores* to *value*: 1 or 100; 0 if it is neither."""
    if not scores.values.size:
        return 0.0
    mean = float(scores.values.mean())
    for scale in (1.0, 100.0):
        if math.isclose(value, scale * mean, rel_tol=_ROUNDING, abs_tol=scale * _ROUNDING):
            return scale
    return 0.0
