"""`snakeval export`: a run's results as files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from snakeval.evaluation.record import Metric
from snakeval.exporters import note
from support.configs import write
from support.limits import HUNG
from support.made import Made, snakeval

Capture = pytest.CaptureFixture[str]
ALL = [word for name in ("json", "csv", "parquet", "markdown") for word in ("--format", name)]
EXACT = 0.1234567890123456


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "good", "bad", "to_do")
    run.done("good", Metric("good", "acc", EXACT, stderr=0.05, n=40, higher_is_better=True))
    run.failed("bad", "no such data set")
    return run


def files(directory: Path) -> dict[str, Path]:
    return {path.name: path for path in directory.iterdir()}


def test_each_format_has_the_scores_to_the_last_digit(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    said = snakeval(capsys, "export", "0123", *ALL, "--output", str(tmp_path / "out"))
    assert said.exit_code == 0
    found = files(tmp_path / "out")
    assert sorted(found) == ["results.csv", "results.json", "results.md", "results.parquet"]
    data = json.loads(found["results.json"].read_text())
    assert data["results"][0]["value"] == EXACT
    assert pd.read_csv(found["results.csv"])["value"][0] == EXACT
    assert pd.read_parquet(found["results.parquet"])["value"][0] == EXACT
    assert "0.1235 ± 0.0500" in found["results.md"].read_text()


def test_a_partial_run_says_so_everywhere(run: Made, tmp_path: Path, capsys: Capture) -> None:
    said = snakeval(capsys, "export", "0123", *ALL, "--output", str(tmp_path))
    partial = "partial: 1 of 3 evaluations are done, 1 failed, 1 not evaluated"
    assert f"0123abcd is {partial}" in said.err
    assert f"**{partial.capitalize()}.**" in (tmp_path / "results.md").read_text()
    data = json.loads((tmp_path / "results.json").read_text())
    assert (data["complete"], data["done"], data["failed"], data["missing"]) == (False, 1, 1, 1)
    for table in (
        pd.read_csv(tmp_path / "results.csv"),
        pd.read_parquet(tmp_path / "results.parquet"),
    ):
        assert list(table["status"]) == ["done", "failed", "pending"]
        assert not table["run_complete"].any()
        assert set(table["run"]) == {run.path.name}


def test_a_whole_run_does_not(run: Made, tmp_path: Path, capsys: Capture) -> None:
    run.done("bad")
    run.done("to_do")
    said = snakeval(capsys, "export", "0123", "--output", str(tmp_path))
    assert said.err == ""
    assert json.loads((tmp_path / "results.json").read_text())["complete"] is True
    assert pd.read_csv(tmp_path / "results.csv")["run_complete"].all()


def test_doing_it_again_writes_only_what_changed(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    snakeval(capsys, "export", "0123", *ALL, "--output", str(out))
    before = {name: path.stat().st_ino for name, path in files(out).items()}
    said = snakeval(capsys, "export", "0123", *ALL, "--output", str(out))
    assert said.out.count("(unchanged)") == 4
    assert {name: path.stat().st_ino for name, path in files(out).items()} == before
    run.done("to_do")
    said = snakeval(capsys, "export", "0123", *ALL, "--output", str(out))
    assert "(unchanged)" not in said.out


def test_files_of_two_runs_have_the_same_types_whatever_is_missing(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    other = Made(tmp_path, "good", name="2026-02-02-03-04-05-feedbeef")
    words = ["--format", "parquet", "--output", str(tmp_path / "lake")]
    snakeval(capsys, "export", "0123", "feed", *words)
    one, two = (
        pd.read_parquet(tmp_path / "lake" / made.path.name / "results.parquet")
        for made in (run, other)
    )
    assert dict(one.dtypes) == dict(two.dtypes)


def test_files_are_in_the_run_by_default(run: Made, capsys: Capture) -> None:
    snakeval(capsys, "export", "0123", "--dest", "local")
    assert sorted(files(run.path / "export")) == ["results.csv", "results.json", "results.md"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["0123", "--dest", "mlflow"], "mlflow: the server is unknown; set tracking_uri"),
        (["0123", "--dest", "wandb", "--set", "projct=x"], "wandb.projct: unknown key 'projct'"),
        (["0123", "--dest", "wandb", "--set", "project"], "--set: write KEY=VALUE"),
        (["0123", "--dest", "wandb", "--dest", "local", "--set", "per=run"], "choose one with"),
        (["0123", "--format", "csv", "--set", "attempts=none"], "local.attempts: input should be"),
        (["0123", "--dest", "loca"], "did you mean 'local'"),
        (["0123/m"], "a run is exported as a whole; write 0123abcd"),
        (["0124abcd"], "no such run; did you mean"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Made, words: list[str], sentence: str, capsys: Capture
) -> None:
    said = snakeval(capsys, "export", *words)
    assert said.exit_code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_reported(run: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "export", "0123", "--output", "/proc/x")
    assert said.exit_code == 1
    assert "did not arrive (0 did): /proc/x: cannot be written (" in said.err


def test_files_go_along_and_are_copied_once(run: Made, tmp_path: Path, capsys: Capture) -> None:
    words = ["export", "0123", "--output", str(tmp_path / "out"), "--artifacts", "artifacts/*"]
    said = snakeval(capsys, *words)
    assert "local: 1 entry, 1 file (1 B)" in said.err
    assert (tmp_path / "out/artifacts/m/good/artifacts/f").read_text() == "1"
    assert snakeval(capsys, *words).out.count("(unchanged)") == 4


def test_without_a_destination_those_of_the_configuration_are_meant(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    local = {"output_dir": str(tmp_path / "lake"), "formats": ["csv"], "tags": {"team": "nlp"}}
    write(run.path, {"export": {"local": local}}, "config.yaml")
    assert snakeval(capsys, "export", "0123").exit_code == 0
    assert list(files(tmp_path / "lake")) == ["results.csv"]


def test_the_command_line_is_laid_over_the_configuration(
    run: Made, tmp_path: Path, capsys: Capture
) -> None:
    write(run.path, {"export": {"local": {"formats": ["csv"], "tags": ["a"]}}}, "config.yaml")
    snakeval(capsys, "export", "0123", "--set", "formats=json", "--tag", "team=nlp")
    data = json.loads((run.path / "export" / "results.json").read_text())
    assert data["tags"] == {"a": "", "team": "nlp"}


def test_an_export_by_hand_renews_the_note_of_the_rule(run: Made, capsys: Capture) -> None:
    write(run.path, {"export": {"local": {"formats": ["csv"]}}}, "config.yaml")
    note.write(run.directory, {"local": {"undelivered": {run.path.name: "the disk was full"}}})
    snakeval(capsys, "export", "0123")
    assert note.undelivered(run.directory) == {}
    assert note.read(run.directory)["local"]["partial"].startswith("partial: 1 of 3")


#: The command where pyarrow is not installed, which pandas notices when it is imported.
WITHOUT = """
import sys
sys.modules["pyarrow"] = None
from snakeval.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_pyarrow_the_other_formats_are_written_and_the_extra_is_named(
    run: Made, tmp_path: Path
) -> None:
    def export(*formats: str) -> subprocess.CompletedProcess[str]:
        words = [word for name in formats for word in ("--format", name)]
        return subprocess.run(
            [sys.executable, "-c", WITHOUT, "export", "0123", *words, "--output", tmp_path / "out"],
            capture_output=True, text=True, timeout=HUNG, check=False,
        )  # fmt: skip

    failed = export("csv", "parquet")
    assert (failed.returncode, failed.stderr) == (
        2,
        "snakeval: local: format parquet needs pyarrow; pip install 'snakeval[parquet]'\n",
    )
    assert not (tmp_path / "out").exists(), "all or nothing"
    assert export("csv", "json", "markdown").returncode == 0
    assert len(files(tmp_path / "out")) == 3
