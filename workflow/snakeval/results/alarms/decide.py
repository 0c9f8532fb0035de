"""Decides which points of a curve alarm. Pure: it knows no file, no clock and no target."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snakeval.results.curves.points import Curve, Place, Point
from snakeval.results.statistics import drops
from snakeval.results.statistics.drops import Drop
from snakeval.results.statistics.intervals import Interval


@dataclass(frozen=True, slots=True)
class Spot:
    """A scored point of a curve.

    Attributes:
        value: its score.
        fingerprint: of the evaluation that it is the result of.
        gone: whether its checkpoint was deleted. It is then compared with, and not judged.
    """

    point: Point
    value: float
    fingerprint: str
    gone: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The step and the fingerprint, of which there is one decision."""
        return self.point.step, self.fingerprint

    def as_drop(self) -> drops.Point:
        """Return it as a point without samples."""
        known = self.point
        return drops.Point(known.model, self.value, Interval(low=known.low, high=known.high))


def spots(curve: Curve, fingerprints: Mapping[str, str], places: Mapping[str, Place]) -> list[Spot]:
    """Return the points of a curve with results of their own, by step."""
    return [
        Spot(point, point.value, fingerprints.get(point.model, ""), places[point.model].gone)
        for point in curve.scored
        if point.value is not None and not places[point.model].same_as
    ]


def undecided(
    found: Sequence[Spot], decided: Container[tuple[str, str]]
) -> Iterator[tuple[Spot, Sequence[Spot]]]:
    """Yield each spot that can be judged and was not, with the ones before it.

    A point with no earlier one waits until there is one, since checkpoints finish out of order.
    """
    for number, spot in enumerate(found):
        if number and not spot.gone and spot.key not in decided:
            yield spot, found[:number]


def dropped(
    spot: Spot,
    earlier: Sequence[Spot],
    number: int,
    higher_is_better: bool,
    measure: Callable[[Spot], drops.Point],
) -> Drop | None:
    """Return how much worse a spot is than the best before it, in decision *number* of its curve.

    Only the samples of the spot and of the best are read, by *measure*.
    """
    names = {each.point.model: each for each in earlier}
    points = [each.as_drop() for each in earlier]
    best = {point.name for point in drops.best_of(points, higher_is_better)}
    points = [measure(names[p.name]) if p.name in best else p for p in points]
    # The order of the scores must not change.
    points = [replace(p, value=names[p.name].value) for p in points]
    return drops.drop(measure(spot), points, number, higher_is_better)


def is_alarm(drop: Drop | None, least: bool | float) -> bool:
    """Whether a drop alarms: it is significant, and not below the size that the user chose."""
    if drop is None or not drop.significant:
        return False
    return isinstance(least, bool) or drop.value >= least


def reached(found: Sequence[Spot], score: float, higher_is_better: bool) -> Spot | None:
    """Return the first spot, by step, whose score is *score* or better."""
    for spot in found:
        if not spot.gone and (spot.value >= score if higher_is_better else spot.value <= score):
            return spot
    return None


def is_silent(since: float, now: float, minutes: float) -> bool:
    """Whether there was no new checkpoint for so many minutes."""
    return now - since >= 60 * minutes
