"""`snakeval report`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from support.made import snakeval
from support.sampled import Sampled

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sampled:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Sampled(tmp_path, {"m": {"a": [1, 0]}})


def test_it_says_where_the_page_is(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "report", str(run.path))
    assert (said.exit_code, said.out) == (0, f"{run.path}/report.html\n")
    assert (run.path / "report.html").read_text().startswith("<!doctype html>")


def test_without_an_id_it_is_of_the_run_that_started_last(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "report")
    assert (said.exit_code, said.out) == (0, f"{run.path}/report.html\n")


def test_it_opens_the_page_on_request(
    run: Sampled, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    snakeval(capsys, "report", str(run.path), "--open")
    assert opened == [(run.path / "report.html").as_uri()]


def test_a_part_of_a_run_has_no_report(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "report", f"{run.path}/m")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert "a report is of a whole run" in said.err


def test_several_runs_have_one_page_in_this_directory(
    run: Sampled, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Sampled(tmp_path, {"n": {"a": [1, 1]}}, id="0000000b")
    monkeypatch.chdir(tmp_path)
    page = f"report-{run.directory.id}-{other.directory.id}.html"
    said = snakeval(capsys, "report", run.directory.id, other.directory.id, run.directory.id)
    assert (said.exit_code, said.out) == (0, f"{page}\n")
    assert "2 models × 1 benchmark" in Path(page).read_text()
    said = snakeval(capsys, "report", str(run.path), str(other.path), "-o", "x.html", "--json")
    assert json.loads(said.out) == {
        "id": run.directory.id,
        "runs": [run.directory.id, other.directory.id],
        "page": "x.html",
    }


def test_a_page_that_cannot_be_written_has_one_clear_sentence(
    run: Sampled, tmp_path: Path, capsys: Capture
) -> None:
    other = Sampled(tmp_path, {"n": {"a": [1, 1]}}, id="0000000b")
    (tmp_path / "file").touch()
    said = snakeval(capsys, "report", run.path, other.path, "-o", tmp_path / "file/x.html")
    assert said.exit_code == 2
    assert "cannot be written" in said.err


def test_the_page_of_one_run_stays_in_its_directory(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "report", str(run.path), "-o", "x.html")
    assert said.exit_code == 2
    assert "the report of one run is in its directory" in said.err
