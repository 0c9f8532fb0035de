"""The order of steps."""

from __future__ import annotations

from snakeval.results.curves.points import ordered
from support.curves import only, row, source


def test_steps_that_are_no_numbers_have_an_order_that_people_expect() -> None:
    assert ordered(["final", "1e3", "200", "epoch-10", "epoch-9"]) == (
        "200", "1e3", "epoch-9", "epoch-10", "final",
    )  # fmt: skip
    assert not only(source(row("r@final", 0.5), row("r@1", 0.5))).is_numeric
