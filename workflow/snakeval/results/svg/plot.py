"""The parts of a plot: its frame, lines with bands, rules and marks.

A plot has any width: texts and marks are at percentages of it and keep their size, and lines
stretch without a thicker stroke. The page's style has colours and margins. Ticks are outside of the
plot, in these margins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from snakeval.ledger.plain_text import visible
from snakeval.results.svg.scale import Scale

#: Units of a line's coordinates on each side; whole numbers are short.
_UNITS = 4000

#: A place in a plot: shares of its width, from the left, and of its height, from the bottom.
Spot = tuple[float, float]


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element with visible texts.

    ``_`` in names of attributes is ``-``; None leaves an attribute out.

    >>> tag("text", "a < b", x="1%", text_anchor="end", class_=None)
    Markup('<text x="1%" text-anchor="end">a &lt; b</text>')
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(map(_text, children))
    return Markup(f"<{name}{words}>{inside}</{name}>" if inside else f"<{name}{words}/>")


def _text(value: object) -> Markup:
    return value if isinstance(value, Markup) else escape(visible(str(value)))


def percent(share: float) -> str:
    """Return a share of the width or the height.

    >>> percent(0.125), percent(1)
    ('12.5%', '100%')
    """
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def image(name: str, title: str, description: str, *parts: Markup, kind: str = "") -> Markup:
    """Return a plot that a screen reader reads as *title* and *description*.

    *name* is unique in the page. *kind* is for its style.
    """
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-description"),
        *parts,
        class_=f"chart {kind}".rstrip(),
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-description",
    )


def frame(x: Scale, y: Scale) -> Markup:
    """Return the grid with its labels."""
    return tag("g", *_rows(y), *_columns(x), class_="grid")


def _rows(y: Scale) -> Iterator[Markup]:
    for tick in y.ticks:
        at = percent(1 - y.share(tick.value))
        yield tag("line", x1="0", x2="100%", y1=at, y2=at)
        yield tag("text", tick.text, x="0", y=at, dx="-8", dy=".32em", class_="y")


def _columns(x: Scale) -> Iterator[Markup]:
    last = len(x.ticks) - 1
    for number, tick in enumerate(x.ticks):
        at = percent(x.share(tick.value))
        # The last label stays on a narrow screen, and every second one before it.
        less = " less" if (last - number) % 2 else ""
        lines = [tag("tspan", tick.text, x=at, dy="1.5em")]
        if tick.below:
            lines.append(tag("tspan", tick.below, x=at, dy="1.25em"))
        yield tag("text", *lines, x=at, y="100%", class_=f"x{less}")


def layer(*parts: Markup) -> Markup:
    """Return what stretches with the plot: lines and bands."""
    box = f"0 0 {_UNITS} {_UNITS}"
    return tag("svg", *parts, class_="data", viewBox=box, preserveAspectRatio="none")


def line(spots: Sequence[Spot], **attributes: object) -> Markup:
    """Return one path through *spots*."""
    return tag("path", d=_path(spots), class_="line", **attributes)


def band(upper: Sequence[Spot], lower: Sequence[Spot]) -> Markup:
    """Return the area between two lines."""
    corners = [_unit(spot) for spot in [*upper, *reversed(lower)]]
    return tag("polygon", points=" ".join(f"{x},{y}" for x, y in corners), class_="band")


def _path(spots: Sequence[Spot]) -> str:
    """Return a path in relative steps, which are short, without an error that adds up."""
    words = []
    before = (0, 0)
    for spot in spots:
        here = _unit(spot)
        words.append(f"{here[0] - before[0]} {here[1] - before[1]}")
        before = here
    return f"m{' '.join(words)}".replace(" -", "-")


def _unit(spot: Spot) -> tuple[int, int]:
    return round(spot[0] * _UNITS), round((1 - spot[1]) * _UNITS)


def mark(kind: str, spot: Spot, radius: float, title: str = "") -> Markup:
    """Return a disc, with a title that browsers show if the pointer is on it."""
    named = [tag("title", title)] if title else []
    at = {"cx": percent(spot[0]), "cy": percent(1 - spot[1])}
    return tag("circle", *named, class_=kind, r=f"{radius:g}", **at)


def whisker(x: float, low: float, high: float) -> Markup:
    """Return the interval of a single point."""
    ends = {"y1": percent(1 - low), "y2": percent(1 - high)}
    return tag("line", class_="whisker", x1=percent(x), x2=percent(x), **ends)


def rule(y: float, low: float | None = None, high: float | None = None) -> Markup:
    """Return a line across the plot, with its interval."""
    parts = []
    if low is not None and high is not None:
        height = percent(high - low)
        parts.append(tag("rect", x="0", width="100%", y=percent(1 - high), height=height))
    at = percent(1 - y)
    parts.append(tag("line", x1="0", x2="100%", y1=at, y2=at))
    return tag("g", *parts, class_="rule")


def label(
    words: str, spot: Spot, *, above: bool = True, beside: bool = False, kind: str = "label"
) -> Markup:
    """Return a text above, below or *beside* a spot, within the sides of the plot."""
    x, y = spot
    at = {"x": percent(x), "y": percent(1 - y)}
    if beside:
        return tag("text", words, class_=kind, dx=".8em", dy=".32em", **at)
    anchor = "start" if x < 0.12 else "end" if x > 0.88 else "middle"
    shift = "-.75em" if above else "1.5em"
    return tag("text", words, class_=kind, dy=shift, text_anchor=anchor, **at)
