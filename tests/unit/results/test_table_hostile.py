"""Hostile names and reasons in tables: visible in texts, and no formulas in spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from unicodedata import category

import pytest

from snakeval.evaluation.record import Completion, Metric
from snakeval.results import report
from snakeval.results import table as results
from snakeval.results.verify import verify
from support.made import Made, completion, snakeval

ESCAPE, FORMULA = "\x1b[31m\u202ered", "=cmd|' /C calc'!A0"
FORMULAS = [FORMULA, "@SUM(1)", "+1", "-1", "\t=1+1", "\r=1+1", "＝1+1", " =1"]
NAMES = [ESCAPE, "\ud800lone", "a,b", 'say "x"', *FORMULAS]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    made = Made(tmp_path, "b", "c", "d")
    made.done("b", *(Metric("b", name, 0.5, filter=name) for name in NAMES))
    made.failed("c", f"ValueError: {ESCAPE}\ud800 {FORMULA}")
    results.write(made.directory)
    return made


def is_visible(text: str) -> bool:
    return all(line.isprintable() for line in text.replace("\t", " ").split("\n"))


def is_formula(cell: str) -> bool:
    return cell.strip()[:1] in tuple("=+-@＝＋－＠")


def test_all_tables_are_visible(run: Made, capsys: pytest.CaptureFixture[str]) -> None:
    for path in run.directory.tables:
        text = path.read_bytes().decode()
        assert is_visible(text), path
        assert "U+202E" in text
    for form in ("table", "markdown", "csv", "json"):
        said = snakeval(capsys, "results", "01", "--format", form)
        assert said.exit_code == 0
        assert is_visible(said.out), form


def test_the_report_has_no_hidden_character_also_in_its_scripts(run: Made) -> None:
    page = report.write(run.directory)
    for path in (page, run.directory.report_summary, *page.with_suffix("").glob("*.js")):
        text = path.read_bytes().decode()
        hidden = {hex(ord(c)) for c in set(text) if category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert hidden <= {"0x9", "0xa", "0xd"}, path


def test_status_and_its_json_are_visible(run: Made, capsys: pytest.CaptureFixture[str]) -> None:
    said = snakeval(capsys, "status", "01")
    assert is_visible(said.out)
    assert "‹U+202E›" in said.out
    data = json.loads(snakeval(capsys, "status", "01", "--json").out)
    reasons = [each["reason"] for each in data[0]["evaluations"]]
    assert all(map(is_visible, reasons))


def test_names_that_a_server_chose_are_visible_everywhere(
    run: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = {f"{ESCAPE}\ud800\r\nm": 50, FORMULA: 10}
    run.judged("d", names=chosen, fingerprints=chosen, asked_name="m-1")
    results.write(run.directory)
    page = report.write(run.directory)
    for path in (*run.directory.tables, page, *page.with_suffix("").glob("*.js")):
        text = path.read_bytes().decode()
        assert is_visible(text.replace("\r\n", "\n")), path
    for words in (
        ("results", "01"),
        ("status", "01"),
        ("status", "01", "--json"),
        ("verify", "01"),
    ):
        said = snakeval(capsys, *words)
        assert is_visible(said.out + said.err), words
    row = next(row for row in run.directory.read_table() or () if row["benchmark"] == "d")
    assert row["health"] == "10 of another model"


def test_no_cell_of_a_spreadsheet_is_a_formula(
    run: Made, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "export"
    done = snakeval(capsys, "export", "01", "--output", str(place))
    assert done.exit_code == 0, done.err
    texts = [
        run.directory.table.read_text(),
        (place / "results.csv").read_text(),
        snakeval(capsys, "results", "01", "--format", "csv").out,
    ]
    for text in texts:
        rows = list(csv.DictReader(io.StringIO(text)))
        cells = [cell for row in rows for name, cell in row.items() if name not in ("value",)]
        assert not [cell for cell in cells if is_formula(cell)]
        assert {row["metric"] for row in rows if row["value"]} >= {f"'{FORMULA}", "'+1", "'-1"}
        assert [row["value"] for row in rows if row["value"]] == ["0.5"] * len(NAMES)


def test_a_negative_score_stays_a_number(run: Made) -> None:
    run.done("d", Metric("d", "delta", -0.5))
    results.write(run.directory)
    rows = list(csv.DictReader(io.StringIO(run.directory.table.read_text())))
    assert [row["value"] for row in rows if row["benchmark"] == "d"] == ["-0.5"]


def test_verify_finds_no_change_in_escaped_tables(run: Made) -> None:
    found, _ = verify(run.directory, tuple(run.directory.plan()))
    assert [each for each in found if each.where.startswith("results.")] == []
    text = run.directory.table.read_text()
    run.directory.table.write_text(text.replace("0.5", "0.75", 1))
    found, _ = verify(run.directory, tuple(run.directory.plan()))
    assert [each.where for each in found if each.where.startswith("results.")] == ["results.csv"]


# --- a metric that cannot be read, beside a sound one -------------------------------------------


def scored(run: Made) -> Completion:
    place = run.begun("d")
    (place.artifacts / "f").write_text("1")
    unscored = ({"task": "d", "metric": "shaky", "filter": "", "reason": "shaky is nan"},)
    record = replace(
        completion(run.evaluations["d"], place, (Metric("d", "acc", 0.25),)), unscored=unscored
    )
    place.complete(record)
    return record


def test_a_metric_without_a_score_is_a_row_beside_the_sound_one(
    run: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    record = scored(run)
    again = Completion.from_json(record.to_json())
    assert (again.unscored, again.to_json()) == (record.unscored, record.to_json())
    assert "unscored" not in json.loads(replace(record, unscored=()).to_json())
    frame = results.table(run.directory)
    rows = frame[frame["benchmark"] == "d"].to_dict("records")
    assert [(r["metric"], r["status"]) for r in rows] == [("acc", "done"), ("shaky", "not scored")]
    assert rows[1]["reason"] == "shaky is nan"
    shown = snakeval(capsys, "results", "01", "--format", "markdown").out
    assert "not scored: shaky is nan" in shown
    status = json.loads(snakeval(capsys, "status", "01", "--json").out)
    assert [e["state"] for e in status[0]["evaluations"]] == ["done", "failed", "done"]


@pytest.mark.parametrize("damage", [[1], "x", [{"task": 1}], [{"reason": "x"}]])
def test_a_damaged_list_of_metrics_without_scores_is_damage(run: Made, damage: object) -> None:
    data = scored(run).as_dict() | {"unscored": damage, "format": 1}
    with pytest.raises(ValueError, match="unscored"):
        Completion.from_dict(data)
