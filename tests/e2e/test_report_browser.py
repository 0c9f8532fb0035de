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
    assert len(chromium.texts("#items .item")) == 25
    assert chromium.texts("#count") == ["300 of 300 samples"]

    chromium.choose("show", "wrong")
    chromium.texts("#items .item .wrong", 25)
    assert chromium.texts("#count") == [f"{b.count(0)} of 300 samples"]
    assert chromium.texts("#items .item th")[0] == f"q{b.index(0)}"

    chromium.choose("other", "a")
    chromium.texts("#items .item .number", 50)
    chromium.choose("show", "won")
    lost = [n for n in range(300) if a[n] and not b[n]]
    assert chromium.texts("#items .item .right", 25)
    assert chromium.texts("#count") == [f"{len(lost)} of 300 samples"]
    chromium.click("#pager button[data-step='1']")
    for _ in range(100):
        named = chromium.texts("#items .item th")
        if named[0] == f"q{lost[25]}":
            break
    assert named == [f"q{number}" for number in lost[25:50]]
    chromium.click("#items .item .opens")
    assert len(chromium.texts("#items .answers > div")) == 2


def test_samples_are_searched_and_sorted_and_a_link_opens_one(
    tmp_path: Path, chromium: Browser
) -> None:
    run = Sampled(tmp_path, {"m": {"b": [0.25, 1, 0.5, 0.75] + [0] * 150}})
    page = report.write(run.directory)
    chromium.open(page)
    chromium.click(".matrix a[href='#samples/b/m']")
    chromium.choose("order", "high")
    for _ in range(100):
        named = chromium.texts("#items .item th")
        if named[0] == "q1":
            break
    assert named[:4] == ["q1", "q3", "q2", "q0"]
    chromium.run("""
        const form = document.getElementById("choose");
        form.elements.query.value = "question 149?";
        form.requestSubmit();
    """)
    assert chromium.texts("#items .item th", 1) == ["q149"]
    chromium.run("location.hash = 'samples/b/m/all//1///q3'")
    chromium.texts("#items .detail .text")
    assert "Question 3?" in chromium.texts("#items .detail .text")
    assert chromium.texts("#items .detail button") == ["Copy link"]


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
    chromium.texts("#items .item .number", 4)
    chromium.run("for (const each of document.querySelectorAll('.opens')) each.click()")
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
    assert len(chromium.texts("#items .item")) == 25


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


def matrix(chromium: Browser) -> list[list[str]]:
    """Return the rows of the matrix: the name and the numbers."""
    script = """
        return [...document.querySelectorAll(".matrix tbody tr:not(.suites)")].map((row) =>
            [...row.cells].map((cell) => (cell.querySelector("b") || cell).textContent.trim()))
    """
    found: list[list[str]] = chromium.run(script)
    return found


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """The page of three models, of which one lacks a benchmark of a suite."""
    rights = {"low": (0.2, 0.9, 0.5), "mid": (0.5, 0.6, 0.5), "top": (0.9, 0.3, None)}
    names = ("mmlu_law", "gsm8k", "mmlu_math")
    scores = {
        model: {
            b: answers(100, r, n) for n, (b, r) in enumerate(zip(names, each, strict=True)) if r
        }
        for model, each in rights.items()
    }
    return report.write(Sampled(tmp_path, scores).directory)


def test_the_matrix_sorts_filters_transposes_and_groups(compared: Path, chromium: Browser) -> None:
    chromium.open(compared)
    configured = matrix(chromium)
    assert [row[0] for row in configured] == ["low", "mid", "top"]
    chromium.click(".matrix button[title='Sort by mmlu_law']")
    assert [row[0] for row in matrix(chromium)] == ["top", "mid", "low"]
    sort = "return document.querySelector('.matrix [aria-sort]').title"
    assert chromium.run(sort) == "mmlu_law"
    chromium.click(".matrix button[title='Sort by mmlu_math']")
    assert matrix(chromium)[-1][0] == "top", "a model without a score is not the last"

    chromium.click("#matrix-bar [name=turned]")
    turned = matrix(chromium)
    assert [row[0] for row in turned] == ["mmlu_law", "gsm8k", "mmlu_math"]
    assert [row[1:] for row in turned] == [[row[n] for row in configured] for n in (1, 2, 3)]
    chromium.click("#matrix-bar [name=grouped]")
    assert chromium.texts(".matrix .suites th") == ["mmlu", "others"]
    assert [row[0] for row in matrix(chromium)] == ["mmlu_law", "mmlu_math", "gsm8k"]

    chromium.run("""
        const field = document.querySelector("#matrix-bar [name=benchmarks]");
        field.value = "LAW";
        field.dispatchEvent(new Event("input", { bubbles: true }));
    """)
    assert [row[0] for row in matrix(chromium)] == ["mmlu_law"]
    assert chromium.texts("#matrix-bar output") == ["3 models, 1 benchmarks"]


def test_a_baseline_shows_differences_to_it_only(compared: Path, chromium: Browser) -> None:
    chromium.open(compared)
    before = matrix(chromium)
    chromium.run("""
        const field = document.querySelector("#matrix-bar [name=baseline]");
        field.value = "mid";
        field.dispatchEvent(new Event("input", { bubbles: true }));
    """)
    low, mid, top = matrix(chromium)
    assert mid == before[1]
    gap = float(before[0][1]) - float(before[1][1])
    assert low[1] == f"−{-gap:.3f}"
    assert top[1].startswith("+")
    assert chromium.texts("#plot-benchmark-0 th.gap") == ["to mid"]
    assert "baseline" in chromium.texts("#plot-benchmark-0 td.gap")
    assert chromium.texts("#benchmark-0 summary") == ["2 differences, 2 significant"]


def test_one_axis_for_all_plots_needs_no_script(compared: Path, chromium: Browser) -> None:
    chromium.open(compared)
    shown = """
        return ["own", "shared"].map((kind) => getComputedStyle(
            document.querySelector(`#plot-benchmark-1 svg.row .${kind}`)).display)
    """
    assert chromium.run(shown) == ["inline", "none"]
    chromium.run("document.getElementById('axis-shared').click()")
    assert chromium.run(shown) == ["none", "inline"]


def test_a_keyboard_reaches_the_answer_the_matrix_and_its_sorting(
    compared: Path, chromium: Browser
) -> None:
    chromium.open(compared)
    walk = []
    for _ in range(60):
        chromium.key("Tab")
        walk.append(
            chromium.run("""
                const at = document.activeElement;
                return at.ariaLabel || at.getAttribute("href") || at.name || at.tagName;
            """)
        )
        if walk[-1] == "Sort by gsm8k":
            break
    wanted = ["#missing", "#matrix", "models", "baseline", "Matrix", "Sort by gsm8k"]
    assert [each for each in dict.fromkeys(walk) if each in wanted] == wanted
    chromium.key("Enter")
    assert [row[0] for row in matrix(chromium)] == ["low", "mid", "top"]
    assert chromium.run("return document.activeElement.title") == "Sort by gsm8k"


def test_a_screen_reader_reads_names_of_all_that_it_finds(
    compared: Path, chromium: Browser
) -> None:
    chromium.open(compared)
    nodes = chromium.accessibility()
    roles: dict[str, list[str]] = {}
    for node in nodes:
        roles.setdefault(node["role"], []).append(node["name"])
    for role in ("button", "link", "combobox", "searchbox", "checkbox", "radio", "image", "region"):
        assert roles.get(role), f"there is no {role}"
        assert all(roles[role]), f"a {role} has no name"
    assert [name for name in roles["heading"] if name][:2] == ["named", "Answer"]
    assert sum(name.startswith("top: 0.") for name in roles["image"]) == 3
    assert roles["main"] == [""]
