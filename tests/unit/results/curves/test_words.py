"""Points and figures in words."""

from __future__ import annotations

from snakeval.results.curves import words
from support.curves import only, row, source


def test_a_point_is_a_line() -> None:
    (curve,) = only(source(row("r@1", 0.5), row("r@2", status="failed", reason="lost"))).curves
    first, second = curve.points
    assert words.of_point(curve, first, "best", "last") == (
        "r at 1: 0.500, best and last (95 %: 0.400 – 0.600)"
    )
    assert words.of_point(curve, second) == "r at 2: failed: lost"


def test_a_long_description_ends() -> None:
    figure = only(source(*(row(f"r{n:02}@1", 0.5) for n in range(20))))
    assert words.described(figure).endswith("And 8 more, which the table has.")


def test_the_direction_is_known_or_not() -> None:
    wanted = {True: "higher is better", False: "lower is better", None: ""}
    for direction, text in wanted.items():
        figure = only(source(row("r@1", 0.5, higher_is_better=direction)))
        assert words.direction(figure) == text
