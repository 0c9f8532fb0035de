"""`snakeval results`: made anew from the records, one run or several side by side."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from snakeval.evaluation.record import Metric
from support.made import Made, snakeval

Capture = pytest.CaptureFixture[str]
EXACT = 0.1234567890123456


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "good", "bad", "to_do")
    run.done("good", Metric("good", "acc", EXACT, filter="strict", stderr=0.05, n=40))
    run.failed("bad", "no such [data] | set")
    return run


@pytest.fixture
def two(one: Made, tmp_path: Path) -> Made:
    run = Made(tmp_path, "good", "bad", name="2026-02-02-03-04-05-feedbeef")
    run.done("good", Metric("good", "acc", 0.5, filter="strict"))
    run.done("bad", Metric("bad", "f1", 0.25))
    return run


def test_the_table_has_what_is_done_failed_and_missing(one: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "results", "0123")
    assert said.exit_code == 0
    rows = [line.split(maxsplit=2)[1:] for line in said.out.splitlines()]
    assert [row[0] for row in rows] == ["benchmark", "good", "bad", "to_do"]
    assert rows[1][1].split() == [
        *("acc", "(strict)", "0.1235", "±", "0.0500"),
        *("0.0223", "to", "0.2246", "40", "unknown", "done"),
    ]
    assert rows[2][1].strip() == "failed: no such [data] | set"
    assert rows[3][1].strip() == "pending"


def test_without_an_id_they_are_of_the_run_that_started_last(
    one: Made, two: Made, capsys: Capture
) -> None:
    assert snakeval(capsys, "results").out == snakeval(capsys, "results", "feed").out


def test_without_any_run_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    said = snakeval(capsys, "results")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert "no run was started on this machine yet" in said.err


def test_it_needs_no_table_that_the_run_wrote(one: Made, capsys: Capture) -> None:
    assert not (one.path / "results.csv").exists()
    one.done("to_do")
    assert snakeval(capsys, "results", str(one.path)).out.count(" done") == 2


def test_programs_get_every_digit(one: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "results", "0123", "--format", "csv")
    assert pd.read_csv(io.StringIO(said.out))["value"][0] == EXACT
    rows = json.loads(snakeval(capsys, "results", "0123", "--format", "json").out)
    assert (rows[0]["value"], rows[0]["stderr"], rows[0]["n"]) == (EXACT, 0.05, 40)
    assert (rows[1]["value"], rows[1]["status"]) == (None, "failed")


def test_markdown_keeps_its_cells(one: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "results", "0123", "--format", "markdown")
    assert "failed: no such [data] \\| set" in said.out


def test_a_part_of_a_run_is_a_part_of_the_table(one: Made, capsys: Capture) -> None:
    assert "bad" not in snakeval(capsys, "results", "0123/m/good").out


def test_runs_stand_side_by_side(one: Made, two: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "results", "0123", "feed")
    head, *rows = (line.rstrip() for line in said.out.splitlines())
    assert "named 0123abcd" in head
    assert head.endswith("named feedbeef")
    cells = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
    assert cells == [
        ["m", "good", "acc", "strict", "0.1235 ± 0.0500", "0.5000"],
        ["m", "to_do", "pending"],
        # What one run has not done stands in the rows of the other's metrics.
        ["m", "bad", "f1", "failed", "0.2500"],
    ]


def test_side_by_side_programs_get_numbers(one: Made, two: Made, capsys: Capture) -> None:
    rows = json.loads(snakeval(capsys, "results", "0123", "feed", "--format", "json").out)
    good = next(row for row in rows if row["benchmark"] == "good")
    assert (good["named 0123abcd"], good["named feedbeef"]) == (EXACT, 0.5)
    said = snakeval(capsys, "results", "0123", "feed", "--format", "csv")
    table = pd.read_csv(io.StringIO(said.out)).set_index("benchmark")
    assert table["named 0123abcd"]["good"] == EXACT
    assert pd.isna(table["named 0123abcd"]["bad"])


def test_runs_with_the_same_id_are_distinguished_by_their_directories(
    one: Made, tmp_path: Path, capsys: Capture
) -> None:
    again = Made(tmp_path, "good", name="2026-03-02-03-04-05-0123abcd")
    said = snakeval(capsys, "results", str(one.path), str(again.path))
    assert one.path.name in said.out
    assert again.path.name in said.out


def test_unknown_runs_and_runs_without_a_plan_are_one_sentence(one: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "results", "0123abce")
    assert (said.exit_code, said.err.count("\n")) == (2, 1)
    assert "'0123abcd'" in said.err
    (one.path / ".snakeval/plan.json").unlink()
    assert snakeval(capsys, "results", "0123").exit_code == 0, "its records are a plan"
    for record in one.path.glob("*/*/evaluation.json"):
        record.unlink()
    said = snakeval(capsys, "results", "0123")
    assert said.exit_code == 2
    assert "plan.json" in said.err
