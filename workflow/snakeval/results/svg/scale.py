"""Scales of axes: where a value is, and which values have a label.

Numbers are decimals, so that neither the steps of a training nor scores of any size overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_NICE = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
#: Seconds between two labels of an axis of time.
_SPANS = (
    *(1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE),
    *(30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 5 * _DAY),
    *(10 * _DAY, 15 * _DAY, 30 * _DAY, 100 * _DAY, 365 * _DAY, 3650 * _DAY, 36500 * _DAY),
)
_UNITS = ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a value. ``below`` is its second line, such as the date of a time."""

    value: Decimal
    text: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from *low* to *high*, which differ, with its labels."""

    low: Decimal
    high: Decimal
    ticks: tuple[Tick, ...]

    def share(self, value: Decimal) -> float:
        """Return the place of a value: 0 at the low end, 1 at the high end."""
        return float((value - self.low) / (self.high - self.low))


def decimal(value: float) -> Decimal:
    """Return a number as people write it."""
    return Decimal(repr(float(value)))


def of_scores(values: Iterable[float], wanted: int = 5) -> Scale:
    """Return an axis with round ends around *values*; from 0 to 1 without any."""
    found = [decimal(value) for value in values] or [Decimal(0), Decimal(1)]
    low, high = _spread(min(found), max(found))
    step = _step(high - low, wanted)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = (high / step).to_integral_value(ROUND_CEILING)
    ticks = [step * (first + n) for n in range(int(last - first) + 1)]
    texts = [_fixed(tick, step) for tick in ticks]
    return Scale(ticks[0], ticks[-1], tuple(map(Tick, ticks, texts)))


def of_steps(values: Iterable[Decimal], wanted: int = 6) -> Scale:
    """Return an axis that ends at the first and the last of *values*."""
    found = list(values)
    low, high = _spread(min(found), max(found))
    step = _step(high - low, wanted)
    if all(value == value.to_integral_value() for value in found):
        step = max(step, Decimal(1))
    first = (low / step).to_integral_value(ROUND_CEILING)
    last = (high / step).to_integral_value(ROUND_FLOOR)
    ticks = [step * (first + n) for n in range(int(last - first) + 1)]
    if min(found) == max(found):
        ticks = [found[0]]
    largest = max((abs(tick) for tick in ticks), default=Decimal(0))
    return Scale(low, high, tuple(Tick(tick, compact(tick, largest)) for tick in ticks))


def of_names(names: Sequence[str], wanted: int = 6) -> Scale:
    """Return an axis with names at whole numbers, of which some have a label."""
    every = max(1, -(-len(names) // wanted))
    last = max(1, len(names) - 1)
    chosen = [n for n in range(len(names)) if n % every == 0]
    return Scale(Decimal(0), Decimal(last), tuple(Tick(Decimal(n), names[n]) for n in chosen))


def of_times(times: Sequence[datetime], wanted: int = 5) -> Scale:
    """Return an axis of time, whose values are seconds since 1970."""
    low, high = (seconds(end) for end in (min(times), max(times)))
    if low == high:
        low, high = low - 1, high + 1
    span = next((s for s in _SPANS if (high - low) / s <= wanted), _SPANS[-1])
    ticks = []
    day = ""
    first = (low / span).to_integral_value(ROUND_CEILING)
    last = (high / span).to_integral_value(ROUND_FLOOR)
    for n in range(int(last - first) + 1):
        value = span * (first + n)
        moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(value))
        date = f"{moment.day} {moment:%b}"
        if span >= _DAY:
            ticks.append(Tick(value, date, str(moment.year) if str(moment.year) != day else ""))
            day = str(moment.year)
        else:
            clock = f"{moment:%H:%M}" if span >= _MINUTE else f"{moment:%H:%M:%S}"
            ticks.append(Tick(value, clock, date if date != day else ""))
            day = date
    return Scale(low, high, tuple(ticks))


def seconds(moment: datetime) -> Decimal:
    """Return a time as seconds since 1970."""
    return Decimal(repr(moment.timestamp()))


def _spread(low: Decimal, high: Decimal) -> tuple[Decimal, Decimal]:
    """Return two ends that differ."""
    if low != high:
        return low, high
    around = abs(low) / 10 or Decimal("0.1")
    return low - around, high + around


def _step(span: Decimal, wanted: int) -> Decimal:
    """Return the round distance that divides a span into about *wanted* parts, never more."""
    least = span / wanted
    power = Decimal(1).scaleb(least.adjusted())
    return next(power * nice for nice in _NICE if power * nice >= least)


def _fixed(value: Decimal, step: Decimal) -> str:
    """Return a label with as many digits as the distance of labels has."""
    if not value:
        return "0"
    if not -5 <= step.adjusted() <= 6:
        return f"{value:.3g}"
    exponent = step.normalize().as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    return f"{value:,.{places}f}".replace("-", "−")


def compact(value: Decimal, largest: Decimal | None = None) -> str:
    """Return a number in a few characters, in the unit of the *largest* one beside it.

    >>> [compact(Decimal(n)) for n in ("200", "12500", "3000000", "0.5", "1e30", "123456789")]
    ['200', '12.5k', '3M', '0.5', '1e+30', '123.457M']
    >>> compact(Decimal(2000), Decimal(20000))
    '2k'
    """
    size = abs(value)
    unit = max(size, largest or size)
    if not size:
        return "0"
    if unit >= 10**13 or size < Decimal("0.0001"):
        return f"{value.normalize():.3g}"
    if unit < 10000:
        return f"{value.normalize():f}".replace("-", "−")
    scale, letter = next((s, u) for s, u in _UNITS if unit >= s)
    short = round(value / scale, 3).normalize()
    return f"{short:f}{letter}".replace("-", "−")
