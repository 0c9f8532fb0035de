"""The plots of scores: places on both axes, and words for screen readers."""

from __future__ import annotations

from snakeval.results.report.plots import Plots, Row, axis_of

ROW = Row("a <b>", 0.5, 0.4, 0.6, "Wilson")


def test_a_row_is_an_image_with_its_score_in_words() -> None:
    axis = axis_of([ROW])
    drawn = Plots(axis, axis).row(ROW)
    assert drawn.startswith('<svg class="row both" role="img">'), drawn
    assert "<title>a &lt;b&gt;: 0.500, 0.400 to 0.600 · Wilson</title>" in drawn


def test_a_row_is_drawn_on_its_own_axis_and_on_the_shared_one() -> None:
    own, shared = axis_of([ROW]), axis_of([Row("x", 0.0, None, None), Row("y", 1.0, None, None)])
    drawn = Plots(own, shared).row(ROW)
    assert drawn.count('cx="50%"') == 2
    assert 'x1="0%"' in drawn
    assert 'x1="40%"' in drawn


def test_a_score_without_an_interval_has_no_line() -> None:
    row = Row("m", 0.5, None, None)
    axis = axis_of([row])
    assert "<line" not in Plots(axis, axis).row(row)
    assert row.words == "m: 0.500"


def test_an_axis_has_its_labels_and_its_lines() -> None:
    axis = axis_of([ROW])
    plots = Plots(axis, axis)
    assert plots.axis().count("<text") == len(axis.ticks)
    assert plots.grid == f"--own:{len(axis.ticks) - 1};--shared:{len(axis.ticks) - 1}"
