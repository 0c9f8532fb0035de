"""Pairs samples with the metrics that they explain: scores by sample, and the scale of a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

    A sample is ungraded if it has no finite score, as one whose request failed. It is no wrong
    answer.

    Attributes:
        ids: the ids of the graded samples, each once.
        values: their finite scores.
        groups: their groups, if the benchmark has groups.
        answers: the highest number of answers to one question.
        lacking: the share of the answers of each graded sample that have no score, if any lack one.
        ungraded: the ids of the samples without a score.
        ungraded_groups: their groups, if the benchmark has groups.
    """

    ids: pd.Index[Any]
    values: Array
    groups: Array | None = None
    answers: int = 1
    lacking: Array | None = None
    ungraded: pd.Index[Any] = field(default_factory=lambda: pd.Index([], dtype=object))
    ungraded_groups: Array | None = None

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
        answers, lacking = 1, None
        if not named.is_unique:
            frame = pd.DataFrame({"id": named, "value": np.where(finite, scores, np.nan)})
            frame["group"] = grouped
            by_id = frame.groupby("id", sort=False)
            sizes = by_id.size()
            answers = int(sizes.max())
            lacking = 1 - by_id["value"].count().to_numpy() / sizes.to_numpy()
            named = pd.Index(sizes.index.to_numpy(dtype=object), dtype=object)
            scores = by_id["value"].mean().to_numpy()
            if grouped is not None:
                grouped = by_id["group"].first().to_numpy(dtype=object)
            finite = np.isfinite(scores)
        if grouped is not None:
            own = np.asarray([f"\0{name}" for name in named], dtype=object)
            grouped = np.where(grouped == "", own, grouped)
        if lacking is not None:
            lacking = lacking[finite] if lacking[finite].any() else None
        known, unknown = (None, None) if grouped is None else (grouped[finite], grouped[~finite])
        return cls(named[finite], scores[finite], known, answers, lacking, named[~finite], unknown)

    @property
    def total(self) -> int:
        """The number of samples, with the ungraded ones."""
        return self.values.size + len(self.ungraded)

    @property
    def complete(self) -> bool:
        """Whether each answer has a score."""
        return self.lacking is None and not len(self.ungraded)

    @property
    def bounded(self) -> bool:
        """Whether each score is between 0 and 1."""
        return bool(((self.values >= 0) & (self.values <= 1)).all())

    def completed(self, score: float) -> Scores:
        """Return the scores as if each ungraded answer had this *score*."""
        values = self.values
        if self.lacking is not None:
            values = values * (1 - self.lacking) + score * self.lacking
        groups = self.groups
        if groups is not None and self.ungraded_groups is not None:
            groups = np.concatenate([groups, self.ungraded_groups])
        filled = np.concatenate([values, np.full(len(self.ungraded), score)])
        return Scores(self.ids.append(self.ungraded), filled, groups, self.answers)

    @property
    def binary(self) -> bool:
        """Whether each score is 0 or 1: their mean is then a proportion."""
        return bool(((self.values == 0) | (self.values == 1)).all())


def together(runs: Sequence[Scores]) -> Scores:
    """Return each question's mean score over several runs of one benchmark."""
    ids: list[str] = []
    values: list[float] = []
    groups: list[str] = []
    for run in runs:
        ids += [*run.ids, *run.ungraded]
        values += [*run.values, *[math.nan] * len(run.ungraded)]
        known = [""] * run.values.size if run.groups is None else run.groups
        unknown = run.ungraded_groups
        groups += [*known, *([""] * len(run.ungraded) if unknown is None else unknown)]
    return Scores.of(ids, values, groups)


def gather(samples: Iterable[Sample]) -> dict[Key, Scores]:
    """Group the scores of samples by task, metric and filter.

    A sample that lacks a metric of the other samples of its task is ungraded.
    """
    names: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    columns: dict[Key, list[float]] = {}
    for sample in samples:
        ids, groups = names.setdefault((sample.task, sample.filter), ([], []))
        for metric, value in sample.scores.items():
            values = columns.setdefault((sample.task, metric, sample.filter), [])
            values.extend([math.nan] * (len(ids) - len(values)))
            values.append(value)
        ids.append(sample.id)
        groups.append(sample.group)
    found = {}
    for key, values in columns.items():
        ids, groups = names[key[0], key[2]]
        values.extend([math.nan] * (len(ids) - len(values)))
        found[key] = Scores.of(ids, values, groups)
    return found


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
    together = _of_tasks(parts)
    return (together, scale) if (scale := _scale(together, value)) else None


def _of_tasks(parts: Mapping[str, Scores]) -> Scores:
    """Return the scores of several tasks; no group spans two tasks."""
    ids: list[str] = []
    groups: list[str] = []
    values: list[float] = []
    lacking: list[float] = []
    grouped = any(part.groups is not None for part in parts.values())
    for task, part in parts.items():
        unknown = part.ungraded if part.ungraded_groups is None else part.ungraded_groups
        ids += [f"{task}/{name}" for name in (*part.ids, *part.ungraded)]
        known = part.ids if part.groups is None else part.groups
        groups += [f"{task}/{name}" for name in (*known, *unknown)] if grouped else []
        values += [*part.values, *[math.nan] * len(part.ungraded)]
        lacking += [0.0] * part.values.size if part.lacking is None else [*part.lacking]
    found = Scores.of(ids, values, groups)
    return replace(found, lacking=np.asarray(lacking)) if any(lacking) else found


def _scale(scores: Scores, value: float) -> float:
    """Return the factor from the mean of *scores* to *value*: 1 or 100; 0 if it is neither.

    A harness may leave ungraded samples out, or count them as wrong.
    """
    if not scores.values.size:
        return 0.0
    means = [float(scores.values.mean())]
    if not scores.complete:
        means.append(float(scores.completed(0.0).values.mean()))
    for mean in means:
        for scale in (1.0, 100.0):
            if math.isclose(value, scale * mean, rel_tol=_ROUNDING, abs_tol=scale * _ROUNDING):
                return scale
    return 0.0
