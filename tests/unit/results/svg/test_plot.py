"""The parts of a plot as markup: escaped, and paths that end where they should."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from snakeval.results.svg import plot, scale


def test_hostile_texts_are_text() -> None:
    evil = "</title><script>alert(1)</script>\"'"
    found = plot.image(
        "p", evil, evil, plot.label(evil, (0.5, 0.5)), plot.mark("dot", (0, 0), 1, evil)
    )
    assert "<script" not in found
    assert ElementTree.fromstring(found)[0].text == evil


def test_a_screen_reader_finds_a_title_and_a_description() -> None:
    root = ElementTree.fromstring(plot.image("p", "a title", "what it shows"))
    assert root.attrib["role"] == "img"
    ids = [root.attrib[f"aria-{name}"] for name in ("labelledby", "describedby")]
    assert [(each.attrib["id"], each.text) for each in root] == [
        (ids[0], "a title"), (ids[1], "what it shows"),
    ]  # fmt: skip


def test_the_steps_of_a_path_lead_to_its_last_spot() -> None:
    spots = [(n / 499, (n * 37 % 101) / 101) for n in range(500)]
    found = ElementTree.fromstring(plot.line(spots)).attrib["d"]
    numbers = [int(number) for number in re.findall(r"-?\d+", found)]
    assert len(numbers) == 1000
    assert (sum(numbers[::2]), sum(numbers[1::2])) == (4000, round(4000 * (1 - spots[-1][1])))


def test_every_second_label_is_for_wide_screens_and_the_last_is_for_all() -> None:
    steps = scale.of_names(list("abcde"))
    root = ElementTree.fromstring(plot.frame(steps, scale.of_scores([0, 1])))
    kinds = [
        t.attrib["class"] for t in root if t.tag == "text" and "x" in t.attrib["class"].split()
    ]
    assert kinds == ["x", "x less", "x", "x less", "x"]


def test_a_name_at_a_side_stays_within_the_plot() -> None:
    anchors = [
        plot.label("n", (x, 0.5)).split('text-anchor="')[1].split('"')[0] for x in (0, 0.5, 1)
    ]
    assert anchors == ["start", "middle", "end"]
