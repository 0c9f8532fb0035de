"""Reads finished evaluations for a comparison: the headline metric, sample by sample."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations

import numpy as np

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import digest
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion, Metric, headline
from snakeval.evaluation.verdict import Verdict
from snakeval.harnesses.adapter import Sample
from snakeval.harnesses.reading import read_samples
from snakeval.results import health
from snakeval.results import scores as table
from snakeval.results.statistics import averages as averages_
from snakeval.results.statistics import differences as differences_
from snakeval.results.statistics import intervals as intervals_
from snakeval.results.statistics import samples as statistics
from snakeval.results.statistics import ungraded
from snakeval.results.statistics.averages import Repeats
from snakeval.results.statistics.differences import Difference
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Scores
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

#: Up to this number, a benchmark compares all pairs of models; beyond it, each with the best one.
MAX_PAIRS = 500


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished evaluation.

    Attributes:
        metric: the benchmark's headline metric, with its ``interval``.
        scores: the samples' scores of that metric, if the harness logged samples.
        scale: the factor between ``scores`` and the metric.
        problem: why the samples cannot be read; empty if they can.
        unhealthy: why no gate may judge the answers, such as failed health; empty if one may.
        verdict: what the rules find in the health of its answers.
    """

    directory: EvaluationDirectory
    record: Completion
    metric: Metric
    interval: Interval
    scores: Scores | None = None
    scale: float = 1.0
    problem: str = ""
    unhealthy: str = ""
    verdict: Verdict = field(default_factory=Verdict)

    def at(self, confidence: float) -> Interval:
        """Return the interval of the score at another level of confidence."""
        metric = self.metric
        return intervals_.interval(
            *(metric.value, metric.stderr, metric.n, self.scores, self.scale), confidence=confidence
        )

    def is_copy_of(self, other: Measured) -> bool:
        """Whether both are one result of one run, perhaps at two places."""
        names = ("fingerprint", "started", "finished", "seconds", "host", "manifest")
        return all(getattr(self.record, n) == getattr(other.record, n) for n in names)

    @property
    def model(self) -> str:
        """The model's name in the configuration."""
        return self.record.model

    @property
    def benchmark(self) -> str:
        """The benchmark's name in the configuration."""
        return self.record.benchmark

    @property
    def key(self) -> tuple[str, str]:
        """The metric and the filter, which two runs must share for a comparison."""
        return self.metric.metric, self.metric.filter


def measure(
    run: RunDirectory, item: Planned, keep: Callable[[Sample], None] | None = None
) -> Measured | None:
    """Return a planned evaluation of *run* if it is finished and readable.

    *keep* receives each of its samples.
    """
    directory = run.evaluation(item.source)
    record = None if item.left_out else directory.completion(item.fingerprint)
    if record is None:
        return None
    if item.same_as:
        record = replace(record, model=item.model)
    try:
        metrics = table.current_metrics(directory, record)
    except EvaluationError:
        return None
    found = table.intervals(directory, record, metrics)
    data = [asdict(metric) for metric in metrics]
    chosen = headline({"metrics": data, "identity": record.identity})
    metric = metrics[next(n for n, entry in enumerate(data) if entry is chosen)]
    interval = found[metrics.index(metric)]
    verdict = health.verdict(directory, record)
    unhealthy = verdict.reason if verdict.fails else ""
    try:
        samples = statistics.gather(_seen(read_samples(directory), keep))
    except EvaluationError as error:
        without = Measured(directory, record, metric, interval, problem=str(error))
        return replace(without, unhealthy=unhealthy, verdict=verdict)
    key = (metric.task, metric.metric, metric.filter)
    scores, scale = statistics.scores_of(samples, key, metric.value) or (None, 1.0)
    found_all = Measured(directory, record, metric, interval, scores, scale)
    return replace(found_all, unhealthy=unhealthy, verdict=verdict)


def _seen(samples: Iterable[Sample], keep: Callable[[Sample], None] | None) -> Iterator[Sample]:
    for sample in samples:
        if keep is not None:
            keep(sample)
        yield sample


@dataclass(frozen=True, slots=True)
class Repeated:
    """A model's finished runs of one benchmark: one, or several with other seeds.

    ``value`` is the mean of the runs. Its ``interval`` is that of the questions' mean scores. It
    therefore includes the choice of questions and the sampling of answers.
    """

    runs: tuple[Measured, ...]
    value: float
    interval: Interval

    @property
    def variance(self) -> Repeats:
        """The variance within and between the runs."""
        values = [run.metric.value for run in self.runs]
        return averages_.repeats(values, [run.interval.stderr for run in self.runs])


def repeated(measured: Iterable[Measured]) -> list[Repeated]:
    """Group the repeats of an evaluation, which differ only in the seed and in the name."""
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for each in measured:
        identity = each.record.identity
        params = {k: v for k, v in identity["params"].items() if k != "seed"}
        name = re.sub(r"-r\d+$", "", each.benchmark)
        key = (each.model, name, digest({**identity, "params": params}))
        groups.setdefault(key, []).append(each)
    return [_repeated(runs) for runs in groups.values()]


def _repeated(runs: Sequence[Measured]) -> Repeated:
    first = runs[0]
    if len(runs) == 1:
        return Repeated((first,), first.metric.value, first.interval)
    value = float(np.mean([run.metric.value for run in runs]))
    scores = [run.scores for run in runs if run.scores is not None]
    if len(scores) < len(runs):
        why = "not all of its runs have samples"
        return Repeated(tuple(runs), value, Interval(reason=why))
    found = intervals_.of_samples(statistics.together(scores)).scaled(first.scale)
    return Repeated(tuple(runs), value, found.around(value))


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of two evaluations; ``corrected`` is p, corrected for all comparisons."""

    a: Measured
    b: Measured
    difference: Difference
    corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the 5 % level."""
        return self.corrected is not None and self.corrected <= 1 - intervals_.CONFIDENCE

    def at(self, confidence: float) -> Difference:
        """Return the difference with its interval at another level of confidence."""
        return _difference(self.a, self.b, confidence)


def compare(pairs: Iterable[tuple[Measured, Measured]]) -> list[Compared]:
    """Return the difference a - b of each pair, corrected for the number of pairs."""
    found = [(a, b, _difference(a, b)) for a, b in pairs]
    corrected = differences_.holm([difference.p for _, _, difference in found])
    return [Compared(*pair, p) for pair, p in zip(found, corrected, strict=True)]


def _difference(a: Measured, b: Measured, confidence: float = intervals_.CONFIDENCE) -> Difference:
    if a.key != b.key:
        names = " and ".join(" ".join(filter(None, each.key)) for each in (a, b))
        return Difference(reason=f"{names} differ")
    if a.scores is not None and b.scores is not None and a.scale == b.scale:
        found = ungraded.difference(a.scores, b.scores, a.scale, confidence)
        if found.n:
            return found
    else:
        without = a if a.scores is None else b
        why = without.problem or f"{without.model} has no samples of {without.metric.metric}"
        found = Difference(reason=why)
    usual = confidence == intervals_.CONFIDENCE
    ranges = [each.interval if usual else each.at(confidence) for each in (a, b)]
    values = a.metric.value, ranges[0], b.metric.value, ranges[1]
    units = min(a.metric.n or 0, b.metric.n or 0)
    return differences_.unpaired(*values, units) or replace(found, value=values[0] - values[2])


def pairs(measured: Sequence[Measured]) -> Iterator[tuple[Measured, Measured]]:
    """Yield the pairs of models on each benchmark; of many models, each with the best one."""
    benchmarks: dict[str, list[Measured]] = {}
    for each in measured:
        benchmarks.setdefault(each.benchmark, []).append(each)
    for models in benchmarks.values():
        if len(models) * (len(models) - 1) // 2 <= MAX_PAIRS:
            yield from combinations(models, 2)
            continue
        best = max(models, key=goodness)
        yield from ((best, other) for other in models if other is not best)


def goodness(measured: Measured) -> float:
    """Return the sort key of a benchmark's evaluations: the best one has the highest."""
    value = measured.metric.value
    return -value if measured.metric.higher_is_better is False else value
