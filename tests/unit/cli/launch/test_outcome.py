"""What a command prints of its run for programs."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from snakeval.cli.launch import outcome
from snakeval.cli.output import json_switch
from snakeval.run.directory import RunDirectory
from snakeval.run.find import Run
from support.made import Made

Capture = pytest.CaptureFixture[str]


def reported(run: Run, capsys: Capture, *words: str) -> str:
    @click.command()
    @json_switch
    def command() -> None:
        outcome.report(run, 1, process=12, log=Path("/log"))

    command.main([*words], standalone_mode=False)
    return capsys.readouterr().out


def test_a_run_has_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    made = Made(tmp_path, "a", "b", "c")
    made.done("a")
    made.failed("b", "no such data set")
    run = Run("0123abcd", made.directory, {})
    assert json.loads(reported(run, capsys, "--json")) == {
        "id": "0123abcd", "directory": str(made.path), "dry_run": False, "exit_code": 1,
        "done": 1, "failed": 1, "total": 3, "process": 12, "job": None, "log": "/log",
    }  # fmt: skip
    assert reported(run, capsys) == ""


def test_a_run_without_a_plan_has_no_counts(tmp_path: Path, capsys: Capture) -> None:
    data = json.loads(
        reported(Run("0123abcd", RunDirectory(tmp_path / "no"), {}), capsys, "--json")
    )
    assert (data["done"], data["failed"], data["total"]) == (None, None, None)
