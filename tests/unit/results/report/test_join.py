"""One report of several runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snakeval.results import report
from snakeval.results.report.content import Facts, collect
from snakeval.results.report.samples import Shelves
from support.sampled import Sampled, answers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def run_of(folder: Path, day: int, *models: str, **benchmarks: float) -> Sampled:
    """Return a run of `2026-01-DAY` with scores of about this size."""
    scores = {m: {b: answers(50, right, day) for b, right in benchmarks.items()} for m in models}
    return Sampled(folder, scores, id=f"{day:08d}", started=f"2026-01-{day:02d}-03-04-05")


def joined(folder: Path, *runs: Sampled) -> Facts:
    page = folder / "page.html"
    return collect([run.directory for run in runs], Shelves(folder / "page"), page)


def test_models_and_benchmarks_of_all_runs_are_in_one_matrix_with_their_runs(
    tmp_path: Path,
) -> None:
    facts = joined(
        tmp_path, run_of(tmp_path, 1, "m", one=0.9, two=0.8), run_of(tmp_path, 2, "n", one=0.5)
    )
    assert facts.models == ("m", "n")
    assert facts.benchmarks == ("one", "two")
    assert facts.sources == {"m": "00000001 2026-01-01", "n": "00000002 2026-01-02"}
    assert facts.counts == {"done": 3}
    (pair,) = facts.compared
    assert (pair.a.model, pair.b.model, pair.significant) == ("m", "n", True)


def test_further_benchmarks_of_one_model_share_its_row(tmp_path: Path) -> None:
    facts = joined(tmp_path, run_of(tmp_path, 1, "m", one=0.9), run_of(tmp_path, 2, "m", two=0.8))
    assert facts.models == ("m",)
    assert facts.sources == {"m": "00000001 2026-01-01, 00000002 2026-01-02"}
    assert facts.cells["m", "two"].target == "00000002/m/two"
    assert facts.rankings[0].complete[0].lacks == ()


def test_the_same_evaluation_of_two_runs_has_two_rows_with_their_dates(tmp_path: Path) -> None:
    facts = joined(
        tmp_path, run_of(tmp_path, 1, "m", one=0.9, two=0.9), run_of(tmp_path, 2, "m", one=0.2)
    )
    rows = ("m · 00000001 2026-01-01", "m · 00000002 2026-01-02")
    assert facts.models == rows
    assert facts.cells[rows[0], "one"].measured is not None
    assert (rows[1], "two") not in facts.cells
    assert [cost.model for cost in facts.costs] == [*rows]


def test_a_row_of_the_page_shows_its_run_below_its_model(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, 1, "m", one=0.9), run_of(tmp_path, 2, "m", one=0.2)]
    text = report.write_several([run.directory for run in runs], tmp_path / "x.html").read_text()
    assert text.count('>m<small class="run"> 00000001 2026-01-01</small></th>') == 3


def test_models_of_one_name_that_differ_have_two_rows(tmp_path: Path) -> None:
    other = Sampled(tmp_path, {"m": {"two": [1, 0]}}, url="http://elsewhere/v1")
    facts = joined(tmp_path, run_of(tmp_path, 1, "m", one=0.9), other)
    assert len(facts.models) == 2


def test_a_benchmark_that_two_runs_define_differently_is_marked(tmp_path: Path) -> None:
    other = Sampled(tmp_path, {"n": {"one": [1, 0]}}, params={"limit_samples": 2})
    facts = joined(tmp_path, run_of(tmp_path, 1, "m", one=0.9), other)
    assert facts.cells["n", "one"].marks == "defined differently than m: params.limit_samples"


def test_the_page_has_the_commands_and_files_of_each_run(tmp_path: Path) -> None:
    one, two = run_of(tmp_path, 1, "m", one=0.9), run_of(tmp_path, 2, "n", one=0.9, two=0.3)
    two["n/two"].retract()
    two["n/two"].fail("out of memory")
    (tmp_path / "pages/all").mkdir(parents=True)
    mine = tmp_path / "pages/all/mine.js"
    mine.touch()
    page = report.write_several([one.directory, two.directory], tmp_path / "pages/all.html")
    text = page.read_text()
    assert "snakeval resume 00000002" in text
    assert "snakeval resume 00000001" not in text
    assert "snakeval logs 00000002/n/two" in text
    assert f"bash ../{one.path.name}/m/one/run.sh" in text
    addresses = re.findall(r'<p class="links"><a href="([^"]*)"', text)
    assert addresses
    assert all((page.parent / address).exists() for address in addresses)
    assert "<code>all</code> next to it" in text
    assert {path.suffix for path in page.with_suffix("").iterdir()} == {".js"}
    assert mine.exists(), "a file of the user"
