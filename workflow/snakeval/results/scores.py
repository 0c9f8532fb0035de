"""Reads a completion's scores again with the current parser, and computes their intervals."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import digest, identity_of, reading_of
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.plain import build
from snakeval.evaluation.record import INTERVALS_VERSION, Completion, Metric
from snakeval.files import DAMAGE, has_seal, read_json, read_list, sealed, write_if_changed
from snakeval.harnesses import adapter
from snakeval.harnesses.reading import read_metrics, read_samples, require_unchanged
from snakeval.results.statistics import intervals as intervals_
from snakeval.results.statistics import samples as statistics
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Key, Scores


def current_metrics(directory: EvaluationDirectory, done: Completion) -> tuple[Metric, ...]:
    """Return the metrics as the current parser reads them.

    Raises:
        EvaluationError: the current parser cannot read the raw results.
    """
    version = adapter(done.adapter).PARSER_VERSION
    if version == done.parser_version:
        return done.metrics
    cache = directory.cache("metrics", done.fingerprint, version, *_reading(done))
    if (kept := _cached(cache, "metrics")) is not None:
        with contextlib.suppress(*DAMAGE):
            return tuple(map(Metric.from_dict, kept))
    require_unchanged(done, directory.artifacts)
    evaluation = directory.read_evaluation(done.fingerprint)
    # The configuration may have changed since, so the definition of the record counts.
    try:
        evaluation = replace(evaluation, identity=identity_of(done.identity))
    except DAMAGE as error:
        raise EvaluationError(f"the definition in its record is damaged ({error})") from None
    metrics = read_metrics(evaluation, directory.artifacts)
    with contextlib.suppress(OSError):  # the user can read this run but not write it
        write_if_changed(cache, sealed({"metrics": [asdict(metric) for metric in metrics]}))
    return metrics


def _cached(cache: Path, name: str) -> list[Any] | None:
    """Return what a sealed cache has; None if it has nothing yet, or is damaged.

    A damaged cache is no news for a person: its content is computed again.
    """
    with contextlib.suppress(OSError, ValueError):
        found = read_json(str(cache))
        if found is not None and has_seal(found) and isinstance(found.get(name), list):
            return list(found[name])
    return None


def _reading(done: Completion) -> list[str]:
    """Return what a cache depends on if the configuration says where metrics are."""
    if done.identity.get("format") == 1:
        return []  # the fingerprint of format 1 contains it
    return [reading_of(done.identity)[:8]] if done.identity.get("metrics") else []


def intervals(
    directory: EvaluationDirectory, done: Completion, metrics: Sequence[Metric]
) -> list[Interval]:
    """Return the 95 % interval of each of *metrics*, from samples if the harness logged some.

    A million samples take a while to read, so the intervals are computed once and stored in a file
    next to the record.
    """
    cache = _kept_intervals(directory, done)
    if (known := _cached(cache, "intervals")) is None:
        known = _of_earlier_version(cache)
    with contextlib.suppress(*DAMAGE):
        kept = [_kept(entry) for entry in known]
        # Earlier versions left ungraded samples out, with a caveat and without their number.
        if len(kept) == len(metrics) and not any(i.caveat and not i.graded for i in kept):
            return kept
    try:
        samples = statistics.gather(read_samples(directory))
    except EvaluationError as error:
        # These use only the harness's own numbers. They are not stored: the samples may be fixed.
        by_error = [intervals_.interval(m.value, m.stderr, m.n) for m in metrics]
        return [_unsampled(interval, str(error)) for interval in by_error]
    found = [_interval(metric, samples) for metric in metrics]
    with contextlib.suppress(OSError):  # the user can read this run but not write it
        write_if_changed(cache, sealed({"intervals": [asdict(interval) for interval in found]}))
    return found


def _unsampled(interval: Interval, problem: str) -> Interval:
    """Return the interval of a score whose samples have a *problem*, which it names."""
    if interval.reason:
        return replace(interval, reason=problem)
    return replace(interval, caveat=problem)


def _of_earlier_version(cache: Path) -> list[Any]:
    """Return intervals without a seal.

    The next release removes this reader: docs/decisions/6-old-formats.md.
    """
    with contextlib.suppress(OSError, ValueError):
        return read_list(cache) or []
    return []


def _kept(entry: Any) -> Interval:
    """Return a cached interval.

    Lists are of earlier versions. The next release removes that reader:
    docs/decisions/6-old-formats.md.

    Raises:
        ValueError: it is damaged.
    """
    if not isinstance(entry, list):
        return build(Interval, entry)
    low, high, note = entry
    if low is None:
        return build(Interval, {"reason": note.removeprefix("none: ")})
    return build(Interval, {"low": low, "high": high, "method": note})


def _interval(metric: Metric, samples: Mapping[Key, Scores]) -> Interval:
    key = (metric.task, metric.metric, metric.filter)
    scores, scale = statistics.scores_of(samples, key, metric.value) or (None, 1.0)
    return intervals_.interval(metric.value, metric.stderr, metric.n, scores, scale)


def _kept_intervals(directory: EvaluationDirectory, done: Completion) -> Path:
    """Return the path of the stored intervals; its name covers everything they depend on."""
    depends: list[object] = [adapter(done.adapter).PARSER_VERSION, INTERVALS_VERSION]
    depends += _reading(done)
    with contextlib.suppress(OSError, ValueError):  # the samples cannot be read either
        if samples := directory.read_transport().get("samples"):
            depends.append(digest(samples)[:8])
    return directory.cache("intervals", done.fingerprint, *depends)
