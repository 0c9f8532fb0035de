"""The page of curves: figures, tables, and no script."""

from __future__ import annotations

from html.parser import HTMLParser

from snakeval.results.curves import page
from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import Source
from support.curves import row, source


class Read(HTMLParser):
    """The tags of a page, its texts, and what is open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())

    def count(self, tag: str, **wanted: str) -> int:
        found = [attrs for name, attrs in self.tags if name == tag]
        return sum(all(each.get(k) == v for k, v in wanted.items()) for each in found)


def made(*sources: Source) -> str:
    return page.render("a run", "about", figures(sources), back="../report.html")


def test_each_benchmark_has_a_plot_and_a_table() -> None:
    read = Read(made(source(row("r@1", 0.4), row("r@2", 0.6), row("r@1", 0.5, "c"))))
    assert read.count("svg", role="img") == 2
    assert read.count("script") == 0
    assert [attrs for tag, attrs in read.tags if tag == "details"] == [{"open": None}] * 2
    assert "0.300 – 0.500" in read.words


def test_a_long_table_is_folded() -> None:
    read = Read(made(source(*(row(f"r@{n}", 0.4) for n in range(13)))))
    assert [attrs for tag, attrs in read.tags if tag == "details"] == [{}]


def test_several_series_share_a_table_of_their_steps() -> None:
    rows = [row("r@1", 0.4), row("r@2", 0.5), row("s@2", 0.7), row("s@3", status="failed")]
    text = made(source(*rows))
    assert "<summary>3 steps of 2 series</summary>" in text
    assert "failed" in Read(text).words
    assert text.index('data-curve="1"') < text.index('data-curve="0"'), "the best is not first"


def test_the_axis_of_time_is_there_if_there_are_times() -> None:
    times = [row(f"r@{n}", 0.5, finished=f"2026-01-0{n}T00:00:00Z") for n in (1, 2)]
    assert Read(made(source(*times))).count("svg", role="img") == 2
    assert Read(made(source(*times))).count("input", type="radio") == 2
    assert Read(made(source(row("r@1", 0.5)))).count("input") == 0


def test_hostile_names_are_text() -> None:
    evil = "<img src=x onerror=alert(1)>\u202e"
    bad = row("r@1", status="failed", reason=evil)
    read = Read(made(source(bad, row("r@2", 0.5), row(evil, 0.4))))
    assert read.count("img") == 0
    assert "\u202e" not in "".join(read.words)


def test_the_gain_over_an_only_baseline_is_in_the_table() -> None:
    assert "+0.200" in Read(made(source(row("r@1", 0.6), row("base", 0.4)))).words
    two = made(source(row("r@1", 0.6), row("base", 0.4), row("other", 0.3)))
    assert ">gain<" not in two
