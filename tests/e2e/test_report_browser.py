"""The report in a browser: from the matrix to the wrong samples of two models side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.results import report
from snakeval.run.checkpoints import Seen
from support.browser import Browser, browser
from support.sampled import Sampled, answers

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def test_a_cell_leads_to_its_wrong_samples_and_to_another_models_beside_them(
    tmp_path: Path, chromium: Browser
) -> None:
    a, b = answers(300, 0.8, 1), answers(300, 0.5, 2)
    run = Sampled(tmp_path, {"a": {"one": a, "two": a}, "b": {"one": b, "two": b}})
    chromium.open(report.write(run.directory))

    chromium.click(".matrix a[href='#samples/two/b']")
    assert len(chromium.texts("#items .item")) == 10
    assert chromium.texts("#count") == ["300 of 300 samples"]

    chromium.choose("show", "wrong")
    chromium.texts("#items .wrong", 10)
    assert chromium.texts("#count") == [f"{b.count(0)} of 300 samples"]
    first = chromium.texts("#items .item > h4:first-child")[0]
    assert first == f"q{b.index(0)}"

    chromium.choose("other", "a")
    chromium.texts("#items .answers > div", 20)
    chromium.choose("show", "won")
    lost = [n for n in range(300) if a[n] and not b[n]]
    assert chromium.texts("#items .right", 10)
    assert chromium.texts("#count") == [f"{len(lost)} of 300 samples"]
    chromium.click("#pager button[data-step='1']")
    for _ in range(100):
        named = chromium.texts("#items .item > h4:first-child")
        if named[0] == f"q{lost[10]}":
            break
    assert named == [f"q{number}" for number in lost[10:20]]


def test_plots_and_differences_are_there(tmp_path: Path, chromium: Browser) -> None:
    scores = {"a": {"one": answers(99, 0.9, 1)}, "b": {"one": answers(99, 0.3, 2)}}
    chromium.open(report.write(Sampled(tmp_path, scores).directory))
    chromium.texts("#ranking-0 svg.row circle", 2)
    chromium.texts("#plot-benchmark-0 svg.row circle", 2)
    assert chromium.texts("#benchmark-0 summary") == ["1 difference, 1 significant"]
    chromium.click("#benchmark-0 summary")
    assert chromium.texts("#benchmark-0 .differences tbody th") == ["a − b"]


def test_nothing_that_a_model_wrote_runs(tmp_path: Path, chromium: Browser) -> None:
    evil = (
        "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=2'>"
        "![x](javascript:window.pwned=3)\u202e\u2028';window.pwned=4//"
    )
    item = dict.fromkeys(("id", "question", "answer", "reference", "group"), evil) | {"acc": 0}
    run = Sampled(tmp_path, {"m": {"b": [item, {"acc": 1}]}, "n": {"b": [item, {"acc": 0}]}})
    chromium.open(report.write(run.directory))
    chromium.click(".matrix a[href='#samples/b/m']")
    chromium.choose("other", "n")
    chromium.texts("#items .answers > div", 4)
    shown = chromium.texts("#items .text")
    assert evil.replace("\u202e", "‹U+202E›").replace("\u2028", "‹U+2028›") in shown
    assert chromium.texts("#items img, #items script, #items a", 0) == []
    assert chromium.run("return window.pwned") is None


def test_a_page_without_its_samples_says_where_they_are(tmp_path: Path, chromium: Browser) -> None:
    page = report.write(Sampled(tmp_path, {"m": {"b": [1, 0]}}).directory)
    moved = tmp_path / "moved.html"
    page.rename(moved)
    chromium.open(moved)
    chromium.click(".matrix a[href='#samples/b/m']")
    for _ in range(100):
        (told,) = chromium.texts("#count")
        if told:
            break
    assert told.startswith("The directory report next to this page is missing")


def test_the_page_is_there_at_once_though_there_are_100_000_samples(
    tmp_path: Path, chromium: Browser
) -> None:
    run = Sampled(tmp_path, {m: {"b": answers(50_000, 0.5, 1)} for m in ("one", "two")})
    page = report.write(run.directory)
    # The page holds none of them: it is as large as that of a small run, which opens at once.
    small = Sampled(tmp_path, {m: {"b": [1, 0]} for m in ("one", "two")}, id="feedbeef")
    assert page.stat().st_size < report.write(small.directory).stat().st_size + 1000
    chromium.open(page)
    chromium.click(".matrix a[href='#samples/b/one']")
    assert len(chromium.texts("#items .item")) == 10


def test_curves_are_there_without_a_script_and_a_screen_reader_reads_them(
    tmp_path: Path, chromium: Browser
) -> None:
    scores = {f"run7@{200 * n}": {"b": answers(99, 0.05 * n, n)} for n in range(1, 15)}
    run = Sampled(tmp_path, {**scores, "base": {"b": answers(99, 0.3, 1)}})
    seen = {
        f"run7@{200 * n}": Seen("", {"step": str(200 * n)}, seen=60.0 * n) for n in range(1, 15)
    }
    run.directory.update_series(lambda before: seen)
    report.write(run.directory)
    chromium.open(run.directory.curves)
    assert chromium.texts("script", 0) == []
    assert chromium.shown(".by-step svg.chart", ".by-time svg.chart") == [True, False]
    chromium.click(".switch label:last-of-type")
    assert chromium.shown(".by-step svg.chart", ".by-time svg.chart") == [False, True]
    chromium.click(".switch label:first-of-type")
    images = [node for node in chromium.accessible() if node["role"] == "image"]
    assert [node["name"] for node in images] == ["b: acc"]
    assert chromium.texts(".by-time .axis") == ["time when found (UTC)"]
    assert images[0]["description"].startswith("run7: 14 checkpoints, step 200 to 2800. Best ")
    chromium.size(390, 844)
    wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not chromium.run(wide)
    chromium.size(1280, 1000)
    chromium.click("details summary")
    assert len(chromium.texts(".points tbody tr")) == 14
