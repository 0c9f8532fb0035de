"""The first screen of the report and its plots, as a browser without a script reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snakeval.results import report
from support.sampled import Sampled, answers


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sampled:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    names = ("one", "two", "three")
    scores = {
        m: {b: answers(80, right, n) for n, b in enumerate(names)}
        for m, right in (("good", 0.9), ("fair", 0.5), ("bad", 0.2))
    }
    del scores["bad"]["two"]
    found = Sampled(tmp_path, scores)
    found["bad/two"].path.mkdir(parents=True)
    found["bad/two"].fail("out of memory")
    return found


def read(run: Sampled) -> str:
    """Return the markup of the page without its style and its scripts."""
    text = report.write(run.directory).read_text()
    return re.sub(r"<(style|script)[^>]*>.*?</\1>", "", text, flags=re.S)


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def test_three_models_on_three_benchmarks_have_a_page_of_at_most_300_kb(run: Sampled) -> None:
    assert report.write(run.directory).stat().st_size <= 300_000


def test_the_answer_precedes_the_matrix_with_the_failure_and_its_command(run: Sampled) -> None:
    top = words(read(run).partition('id="matrix"')[0])
    assert "Best on average good acc 0." in top
    assert "significant The lead over fair is +0." in top
    assert "Not compared: bad, without two." in top
    assert "1 failed bad/two : out of memory" in top
    assert f"snakeval resume {run.directory.id}" in top
    assert "12 min 00 s of harness time" in top


def test_each_score_has_a_plot_with_its_words_and_needs_no_script(run: Sampled) -> None:
    text = read(run)
    rows = re.findall(r'<svg class="row[^"]*" role="img"><title>([^<]*)</title>', text)
    assert len(rows) == 3 + 8
    assert sum(row.startswith("good: 0.") for row in rows) == 4
