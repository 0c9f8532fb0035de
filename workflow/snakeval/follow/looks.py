"""Remembers the looks at checkpoints, so that the look that finds a checkpoint is its first.

A checkpoint is ready if two looks some seconds apart agree. Between them the follower does other
work, and it judges no checkpoint again whose files have not changed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakeval.config.checkpoints import AUTO
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import digest
from snakeval.series.ready import APART, GONE, NOT_SETTLED, Judged, judge
from snakeval.serving.weights import files_of


@dataclass(frozen=True, slots=True)
class Sight:
    """The result of the looks at a checkpoint.

    Attributes:
        judged: whether it is ready, or why not.
        content: the state of its files; empty if they cannot be listed.
    """

    judged: Judged
    content: str = ""


@dataclass(slots=True)
class _Memory:
    content: str
    since: float
    judged: Judged
    is_ready: bool = False
    was_ready: bool = False


class Looks:
    """The looks at all checkpoints of a follower.

    *settled* are paths of checkpoints with the state of their files that an earlier head has judged
    and read. If its files are unchanged, such a checkpoint is ready at the first look.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        content: Callable[[str], str] | None = None,
        settled: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._settled = settled or {}
        self._content = content or _content
        self._seen: dict[str, _Memory] = {}

    def look(self, paths: Iterable[str], ready: str = AUTO) -> dict[str, Sight]:
        """Return what is known of each checkpoint after one more look."""
        now = self._clock()  # one for all, so that those that appear together are ready together
        return {path: self._look(path, ready, now) for path in paths}

    def forget(self, kept: Iterable[str]) -> None:
        """Forget all checkpoints except those that are *kept*."""
        kept = {*kept}
        self._seen = {path: seen for path, seen in self._seen.items() if path in kept}

    @property
    def due(self) -> float | None:
        """The time of the next look that makes a checkpoint ready; None if none is at rest."""
        times = [s.since + APART for s in self._seen.values() if _is_settling(s)]
        return min(times, default=None)

    @property
    def resting_since(self) -> float:
        """When a checkpoint changed last, by the follower's clock."""
        return max((seen.since for seen in self._seen.values()), default=-math.inf)

    def _look(self, path: str, ready: str, now: float) -> Sight:
        content = self._content(path)
        seen = self._seen.get(path)
        if seen is None or seen.content != content:
            was_ready = seen is not None and (seen.is_ready or seen.was_ready)
            known = self._settled.get(path) if seen is None else None
            seen = self._seen[path] = _Memory(content, now, _once(path, ready), was_ready=was_ready)
            seen.is_ready = bool(known) and known == seen.judged.stat
        elif not seen.is_ready:
            # Also if it was whole: no event reports a file that is written through a mapping.
            seen.judged = _once(path, ready)
        if not content or seen.judged.why_not:
            return Sight(seen.judged, content)
        if now - seen.since >= APART or (ready != AUTO and not seen.was_ready):
            seen.is_ready = True
        if seen.is_ready:
            return Sight(seen.judged, content)
        why = f"{NOT_SETTLED}: at rest for {now - seen.since:.0f} of {APART:.0f} s"
        return Sight(Judged(why, seen.judged.is_adapter), content)


def _is_settling(seen: _Memory) -> bool:
    return not seen.is_ready and bool(seen.content) and not seen.judged.why_not


def _once(path: str, ready: str) -> Judged:
    """Return the result of one look, whatever the time of the last change."""
    return judge([path], ready, waits=False, clock=lambda: math.inf)[path]


def _content(path: str) -> str:
    """Return a digest of the state of a checkpoint's files, without reading any."""
    place = Path(path)
    try:
        if not place.is_dir():
            return ""
        return digest([[file.name, *file.key] for file in files_of(place)])
    except (ConfigError, OSError):
        return ""


def is_gone(sight: Sight) -> bool:
    """Whether a checkpoint disappeared between the list of its folder and the look."""
    return sight.judged.why_not == GONE
