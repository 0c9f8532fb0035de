"""A figure as a plot: one path a curve, its band, the best and last point, what lacks."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from snakeval.results.curves import picture
from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Place, Source
from support.curves import only, row, source


def drawn(*sources: Source) -> Element:
    return ElementTree.fromstring(picture.by_step(only(*sources), "p"))


def classes(root: Element, tag: str) -> list[str]:
    return [each.attrib.get("class", "") for each in root.iter(tag)]


def test_a_curve_is_one_path_with_a_band_and_marks() -> None:
    root = drawn(source(*(row(f"r@{n}", value) for n, value in ((1, 0.2), (2, 0.6), (3, 0.5)))))
    assert classes(root, "path") == ["line"]
    assert classes(root, "polygon") == ["band"]
    assert classes(root, "circle") == ["dot", "best", "last"]
    labels = [each.text for each in root.iter("text") if each.attrib["class"] == "label"]
    assert labels == ["best 0.600", "last 0.500"]


def test_the_description_says_what_the_plot_shows() -> None:
    rows = [row("r@1", 0.2), row("r@2", 0.6), row("r@3", status="failed"), row("base", 0.4)]
    root = drawn(source(*rows))
    assert root[0].text == "b: acc"
    assert root[1].text == (
        "r: 2 checkpoints, step 1 to 2. Best 0.600 at 2, last 0.600 at 2. Without a score: "
        "1 failed. Baseline base: 0.400."
    )


def test_a_point_without_an_interval_interrupts_the_band() -> None:
    rows = [row(f"r@{n}", 0.5) for n in range(6)]
    rows[2] |= {"ci_low": None, "ci_high": None}
    root = drawn(source(*rows))
    assert [len(each.attrib["points"].split()) for each in root.iter("polygon")] == [4, 6]
    assert classes(root, "path") == ["line"]


def test_an_only_point_has_its_interval_as_a_line() -> None:
    root = drawn(source(row("r@7", 0.5)))
    assert classes(root, "path") == []
    assert "whisker" in classes(root, "line")
    assert [each.text for each in root.iter("text") if each.attrib["class"] == "label"] == [
        "best and last 0.500"
    ]


def test_a_baseline_is_a_line_with_its_name_where_no_curve_is() -> None:
    rows = [row("r@1", 0.4), row("r@2", 0.8), row("r@3", 0.9), row("base", 0.4)]
    root = drawn(source(*rows))
    assert classes(root, "g").count("rule") == 1
    (name,) = (each for each in root.iter("text") if each.attrib["class"] == "label base")
    assert (name.text, name.attrib["x"]) == ("base 0.400", "100%")


def test_a_failed_checkpoint_is_a_cross_with_its_reason() -> None:
    root = drawn(source(row("r@1", 0.4), row("r@2", status="failed", reason="lost"), row("r@3")))
    marks = [each for each in root.iter("text") if each.attrib["class"] in ("failed", "waiting")]
    assert [(each[0].text, each[0].tail) for each in marks] == [
        ("r at 2: failed: lost", "×"), ("r at 3: not evaluated", "·"),
    ]  # fmt: skip


def test_a_figure_without_a_score_is_a_frame() -> None:
    root = drawn(source(row("r@1"), row("r@2")))
    assert classes(root, "circle") == []
    assert root[1].text == "r: no score yet (2 not evaluated)."


def test_steps_that_are_no_numbers_are_at_equal_distances() -> None:
    root = drawn(source(*(row(f"r@{step}", 0.5) for step in ("a", "b", "final"))))
    assert [each.attrib["cx"] for each in root.iter("circle")] == ["0%", "50%", "100%"]


def test_over_time_the_points_are_in_the_order_of_their_times() -> None:
    rows = [row(f"r@{n}", n / 10, finished=f"2026-01-0{4 - n}T00:00:00Z") for n in (1, 2, 3)]
    figure = only(source(*rows))
    root = ElementTree.fromstring(picture.by_time(figure, "p"))
    assert [each.attrib["cx"] for each in root.iter("circle")] == ["0%", "50%", "100%"]
    assert classes(root, "circle") == ["best last", "dot", "dot"]


def test_many_curves_differ_in_colour_or_stroke_and_have_a_path_each() -> None:
    rows = [row(f"r{n}@{step}", 0.5) for n in range(20) for step in range(30)]
    places = {each["model"]: Place(*each["model"].split("@")) for each in rows}
    (figure,) = figures([Source("8b1a", rows, places)])
    root = ElementTree.fromstring(picture.by_step(figure, "p"))
    assert len(classes(root, "path")) == 20
    assert "dot" not in classes(root, "circle")
    assert len({picture.style(n).rpartition(" ")[0] for n in range(20)}) == 20
