"""`snakeval report`."""

from __future__ import annotations

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
