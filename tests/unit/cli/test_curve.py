"""`snakeval curve`: a series or a run by name, in the terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from snakeval.run import alarms
from snakeval.run.alarms import Decision
from support.made import snakeval
from support.sampled import Sampled

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(place: Path) -> Sampled:
    half, all_ = [1, 0], [1, 1]
    found = {"run7@200": {"b": half, "c": half}, "run7@1000": {"b": all_, "c": half}}
    more = {"run7@3000": {"b": None, "c": half}, "run6@200": {"b": [0, 0], "c": half}}
    return Sampled(place, {**found, **more, "base": {"b": half, "c": half}}, id="aaaa0001")


def test_a_series_is_found_by_its_name(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "curve", "run7", "--json")
    rows = json.loads(said.out)
    assert [(e["model"], e["value"], e["best"]) for e in rows if e["benchmark"] == "b"] == [
        ("run7@200", 0.5, False), ("run7@1000", 1.0, True), ("run7@3000", None, False),
        ("base", 0.5, False),
    ]  # fmt: skip


def test_a_run_has_all_of_its_series(run: Sampled, capsys: Capture) -> None:
    rows = json.loads(snakeval(capsys, "curve", "aaaa", "--json").out)
    assert {each["series"] for each in rows} == {"run7", "run6", None}
    part = json.loads(snakeval(capsys, "curve", "aaaa/run6", "--json").out)
    assert {each["series"] for each in part} == {"run6", None}


def test_a_plot_of_each_benchmark_and_a_table_of_an_only_one(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "curve", "run7")
    assert said.exit_code == 0
    assert "b: acc, higher is better" in said.out
    assert "c: acc, higher is better" in said.out
    one = snakeval(capsys, "curve", "run7", "-t", "b")
    lines = [line.split() for line in one.out.splitlines()]
    assert lines[-4:] == [
        ["step", "run7"], ["200", "0.500", "0.095", "–", "0.905"],
        ["1000", "1.000", "0.342", "–", "1.000"], ["3000", "not", "evaluated"],
    ]  # fmt: skip
    assert "c: acc" not in one.out


def test_csv_has_each_point(run: Sampled, capsys: Capture) -> None:
    said = snakeval(capsys, "curve", "run7", "run6", "-t", "b", "--csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(each["series"], each["step"], each["n"]) for each in rows] == [
        ("run7", "200", "2"), ("run7", "1000", "2"), ("run7", "3000", ""), ("run6", "200", "2"),
        ("", "", ""),
    ]  # fmt: skip


def test_a_model_of_another_run_is_a_baseline(run: Sampled, place: Path, capsys: Capture) -> None:
    (other := place / "other").mkdir()
    Sampled(other, {"base": {"b": [0, 0]}, "more": {"b": [1, 1]}}, id="bbbb0001")
    words = ("curve", "run7", "-t", "b", "--baseline", "bbbb/base", "--json")
    rows = json.loads(snakeval(capsys, *words).out)
    assert [(each["model"], each["value"]) for each in rows if each["baseline"]] == [
        ("base", 0.5), ("base (bbbb0001)", 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run8"], "run8: no such run"),
        (["aaaa/run5"], "aaaa/run5: run aaaa0001 has no series 'run5'; did you mean"),
        (["run7", "-t", "d"], "no curve has the benchmark 'd'"),
        (["run7", "--metric", "f1"], "no curve has the metric 'f1'; there are acc"),
        (["cccc"], "cccc: run cccc0001 has no series of checkpoints"),
        (["run7", "--csv", "--json"], "--csv and --json: give one"),
    ],
)
def test_wrong_input_is_a_sentence(
    words: list[str], sentence: str, run: Sampled, place: Path, capsys: Capture
) -> None:
    (other := place / "plain").mkdir()
    Sampled(other, {"m": {"b": [0, 0]}}, id="cccc0001")
    said = snakeval(capsys, "curve", *words)
    assert said.exit_code == 2
    assert sentence in said.out + said.err


def test_a_terminal_without_these_characters_has_others(
    run: Sampled, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.cli.curve._needs_ascii", lambda lines: True)
    said = snakeval(capsys, "curve", "run7")
    assert said.out.isascii()


def test_a_report_draws_baselines_of_other_runs(run: Sampled, place: Path, capsys: Capture) -> None:
    (other := place / "other").mkdir()
    Sampled(other, {"base": {"b": [0, 0]}}, id="bbbb0001")
    said = snakeval(capsys, "report", "aaaa", "--baseline", "bbbb")
    assert said.exit_code == 0
    assert "base (bbbb0001)" in run.directory.curves.read_text()


def test_the_last_alarms_follow_the_plots_and_no_data(run: Sampled, capsys: Capture) -> None:
    found = Decision("drop", "run7", "b", "acc", "1000", alarm={"text": "it dropped"}, at="t1")
    alarms.decide(run.directory.alarms, lambda known: [found])
    assert snakeval(capsys, "curve", "run7").out.splitlines()[-1] == "Alarm t1: it dropped"
    assert "it dropped" not in snakeval(capsys, "curve", "run7", "--csv").out
    status = json.loads(snakeval(capsys, "status", "aaaa", "--json").out)
    assert status[0]["notices"] == ["Alarm t1: it dropped"]
