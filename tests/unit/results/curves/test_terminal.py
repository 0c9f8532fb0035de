"""Curves of characters: within the width, with the best and the last point."""

from __future__ import annotations

import pytest

from snakeval.results.curves import terminal
from snakeval.results.curves.points import Figure
from support.curves import only, row, source


@pytest.fixture
def figure() -> Figure:
    rows = [row(f"run@{200 * n}", 0.2 + 0.008 * n) for n in range(1, 60)]
    rows += [
        row("run@12000", 0.6),
        row("run@12200", status="failed", reason="lost"),
        row("base", 0.4),
    ]
    for number, each in enumerate(rows):
        each["finished"] = f"2026-01-01T00:{number % 60:02}:00Z"
    return only(source(*rows))


@pytest.mark.parametrize("width", [30, 47, 80, 200])
@pytest.mark.parametrize("by_time", [False, True])
def test_no_line_is_wider_than_the_terminal(figure: Figure, width: int, by_time: bool) -> None:
    lines = terminal.draw(figure, width, by_time=by_time)
    assert max(map(len, lines)) <= width
    assert any("●" in line for line in lines)


def test_the_best_is_above_the_last_and_what_failed_is_on_the_axis(figure: Figure) -> None:
    lines = terminal.draw(figure, 80)
    best, last = (next(n for n, each in enumerate(lines) if c in each) for c in "●○")
    assert best < last
    (axis,) = (line for line in lines if "└" in line)
    assert axis.endswith("×")
    assert lines[-2] == (
        "• run: best 0.672 at 11800 (95 %: 0.572 – 0.772), last 0.600 at 12000; 1 failed"
    )
    assert lines[-1] == "┄ base: 0.400"


def test_several_curves_have_letters() -> None:
    rows = [row("r@1", 0.2), row("r@2", 0.3), row("s@1", 0.8), row("s@2", 0.9)]
    lines = terminal.draw(only(source(*rows)), 60)
    assert [line.split(":")[0] for line in lines[-2:]] == ["a r", "b s"]
    assert sum(line.count("b") for line in lines[1:14]) == 2


def test_without_a_score_there_is_a_line_and_no_plot() -> None:
    lines = terminal.draw(only(source(row("r@1"))), 80)
    assert lines == ["b: no score yet", "• r: no score yet (1 not evaluated)"]


def test_plain_characters_are_ascii(figure: Figure) -> None:
    lines = [terminal.plain(line) for line in terminal.draw(figure, 80)]
    assert all(line.isascii() for line in lines)


def test_hidden_characters_of_names_are_visible() -> None:
    lines = terminal.draw(only(source(row("r@1", 0.5), row("\x1b[31mred", 0.4))), 80)
    assert "\x1b" not in "".join(lines)
