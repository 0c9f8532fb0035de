"""Writes the samples of a report: chunks of JavaScript, which the page loads when it needs them.

A page from a disk may not fetch files, but it may add ``<script src>``. A chunk is therefore a
script that calls a function of the page with data. Models wrote all of that data. It is in ASCII
and has no character that could end the string or the script.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.evaluation.record import Metric
from snakeval.files import write_if_changed
from snakeval.harnesses.adapter import Sample
from snakeval.ledger.plain_text import visible
from snakeval.results.report.replies import Reply

#: Samples per chunk: the page loads one chunk to show a page of samples.
CHUNK = 100
#: Longer texts are cut; the artifacts have the whole texts.
MAX_CHARACTERS = 6000
#: Other files in the directory are those of a user.
_CHUNK_NAME = re.compile(r"[0-9a-f]{16}\.js")


def script_json(data: object) -> str:
    """Return JSON that is safe within a ``<script>``: ASCII, and without ``<``, ``>`` or ``&``."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate({ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"})


@dataclass
class Kept:
    """The samples of one evaluation in the report.

    Of more than *limit* samples, those whose ids have the smallest hashes are kept. The choice is
    random and the same for every model, so that models can be compared sample by sample.

    Attributes:
        total: the number of all samples.
    """

    limit: int
    total: int = 0
    _heap: list[tuple[int, int, Sample]] = field(default_factory=list)

    def __call__(self, sample: Sample) -> None:
        """Keep *sample* if the choice includes it."""
        self.total += 1
        name = f"{sample.task}\0{sample.filter}\0{sample.id}".encode("utf-8", "replace")
        order = -int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
        entry = (order, self.total, sample)
        if len(self._heap) < self.limit:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    @property
    def samples(self) -> list[Sample]:
        """The kept samples, in the harness's order."""
        return [sample for _, _, sample in sorted(self._heap, key=lambda entry: entry[1])]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Names the files in which the page finds the samples of an evaluation."""

    index: str
    total: int
    shown: int


#: Returns the request of each sample, or None.
Find = Callable[[Sequence[Sample]], Sequence[Reply | None]]


def _unknown(samples: Sequence[Sample]) -> Sequence[Reply | None]:
    return [None] * len(samples)


class Shelves:
    """The directory of chunks. A new report deletes the chunks that it does not use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._used: set[str] = set()

    def put(self, kept: Kept, metric: Metric, scale: float, find: Find = _unknown) -> Shelf:
        """Write an evaluation's samples: those with a score of *metric*, or else all.

        *find* returns the request of each of them.
        """
        samples = kept.samples
        own = [s for s in samples if metric.metric in s.scores and s.filter == metric.filter]
        samples = own or samples
        replies = find(samples)
        shown = [_shown(*pair) for pair in zip(samples, replies, strict=True)]
        chunks = [
            self._write(shown[start : start + CHUNK]) for start in range(0, len(shown), CHUNK)
        ]
        scores = [_score(sample, metric.metric) for sample in samples]
        index = {
            "ids": _names(samples),
            "scores": [None if score is None else scale * score for score in scores],
            "right": _right(scores, metric.higher_is_better is False),
            "chunks": chunks,
        }
        if any(replies):
            index["health"] = [each and "".join(mark[0] for mark in each.marks) for each in replies]
        share = len(own) / len(kept.samples) if own else 1.0
        total = len(samples) if kept.total <= kept.limit else round(kept.total * share)
        return Shelf(self._write(index), total, len(samples))

    def _write(self, data: object) -> str:
        """Write a chunk under a name from its content, which makes a second write unnecessary."""
        text = script_json(data)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._used.add(f"{name}.js")
        write_if_changed(self.directory / f"{name}.js", f'snakeval("{name}",{text})\n')
        return name

    def tidy(self) -> None:
        """Delete the chunks of earlier reports."""
        for path in self._stale():
            path.unlink(missing_ok=True)

    def _stale(self) -> Iterator[Path]:
        if self.directory.is_dir():
            found = (p for p in self.directory.glob("*.js") if _CHUNK_NAME.fullmatch(p.name))
            yield from (path for path in found if path.name not in self._used)


def _names(samples: Sequence[Sample]) -> list[str]:
    """Return names that find a sample in other evaluations, without the parts that all share."""
    parts = [(sample.task, sample.id, sample.filter) for sample in samples]
    columns = zip(*parts, strict=True)
    told = [position == 1 or len(set(column)) > 1 for position, column in enumerate(columns)]
    return [visible(" ".join(itertools.compress(each, told))) for each in parts]


def _score(sample: Sample, metric: str) -> float | None:
    found = sample.scores.get(metric)
    return found if found is not None and math.isfinite(found) else None


def _right(scores: Sequence[float | None], lower_is_better: bool) -> list[int | None]:
    """Return which samples are right (1: the best possible score) and which are wrong (0).

    If the scores are not from 0 to 1, there is no best score, so no sample is right or wrong.
    """
    if not all(score is None or 0 <= score <= 1 for score in scores):
        return [None for _ in scores]
    best = 0 if lower_is_better else 1
    return [None if score is None else int(score == best) for score in scores]


def _shown(sample: Sample, reply: Reply | None = None) -> Sequence[Any]:
    texts = (sample.question, sample.answer, sample.reference, sample.group)
    scores = {name: visible(f"{score:g}") for name, score in sample.scores.items()}
    shown = [*map(_cut, texts), {visible(name): score for name, score in scores.items()}]
    return shown if reply is None else [*shown, _asked(reply)]


def _asked(reply: Reply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "messages": [[visible(role), _cut(text)] for role, text in reply.messages],
        "tokens": [reply.prompt_tokens, reply.completion_tokens],
        "marks": reply.marks,
    }


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return visible(text)
    return f"{visible(text[:MAX_CHARACTERS])}\n… cut here: {len(text):,} characters in all"
