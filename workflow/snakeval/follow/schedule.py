"""Chooses the checkpoint that starts next.

Pure: it knows no process, no file and no clock. The follower calls it whenever something changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass

from snakeval.config.checkpoints import MARK

#: The longest pause before a failed step starts again, in seconds.
LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """A model that can start.

    Attributes:
        model: its name, ``<series>@<step>`` of a checkpoint.
        content: the state of its files. An overwritten checkpoint is another step.
    """

    model: str
    content: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failures of a step in a row, and when it may start again by the follower's clock."""

    count: int
    again: float

    @classmethod
    def after(cls, before: Failure | None, now: float, first_pause: float) -> Failure:
        """Return the failures with one more, at *now*. Each pause is twice as long as the last."""
        count = before.count + 1 if before else 1
        # The exponent has a limit, since 2 to the power of thousands of failures is no number.
        pause = min(first_pause * 2 ** min(count - 1, 32), max(first_pause, LONGEST_PAUSE))
        return cls(count, now + pause)


def series_of(model: str) -> str:
    """Return the series of a model's name, or the name of a model that is in no series."""
    return model.partition(MARK)[0]


def next_steps(
    ready: Sequence[Step],
    *,
    done: Container[Step] = frozenset(),
    running: Sequence[Collection[str]] = (),
    failed: Mapping[Step, Failure] | None = None,
    shared: Container[str] = frozenset(),
    slots: int,
    now: float = 0.0,
) -> list[tuple[Step, ...]]:
    """Return the steps of each head that starts now, in their order.

    *ready* has the newest step of each series first. *running* has the models of each head that
    works. The newest ready step of a series is always the next one of that series. If several
    series wait, a free slot goes to the one with the fewest heads. One server holds all steps of a
    series in *shared*, so one head at a time gets all of them that are ready.
    """
    failed = failed or {}
    working = {model for models in running for model in models}
    waiting: dict[str, list[Step]] = {}
    for step in ready:
        paused = (failure := failed.get(step)) is not None and failure.again > now
        if step not in done and step.model not in working and not paused:
            waiting.setdefault(series_of(step.model), []).append(step)
    heads = Counter(series for models in running for series in {*map(series_of, models)})
    chosen: list[tuple[Step, ...]] = []
    for _ in range(slots - len(running)):
        waiting = {n: s for n, s in waiting.items() if s and not (n in shared and heads[n])}
        if not waiting:
            break
        series = min(waiting, key=lambda name: heads[name])
        count = len(waiting[series]) if series in shared else 1
        chosen.append(tuple(waiting[series][:count]))
        waiting[series] = waiting[series][count:]
        heads[series] += 1
    return chosen
