"""The output at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from snakeval.dag import on_end
from snakeval.dag.on_end import End, spent, warnings
from snakeval.executors.base import Job, JobState
from support.allocations import Opened, content, learned
from support.configs import MODEL, config
from support.sampled import BENCHMARK, Sampled


def test_the_time_of_jobs_is_compared_with_the_packing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    data = content({"evaluations_per_allocation": 3})
    learned(Opened(tmp_path, data), 60, 60, 60, 60, 60, 60, loading=0)
    allocations = Opened(tmp_path, data, slots=3)
    allocations.save()
    names = ("m/deployment", "m/b0")
    jobs = [
        Job("1", names, JobState.LOST, submitted="9999-01-01T00:00:00+00:00", seconds=3600),
        Job("2", names, JobState.ENDED, submitted="9999-01-01T00:00:00+00:00", seconds=5400),
        Job("3", ("e/b0",), JobState.ENDED, submitted="9999-01-01T00:00:00+00:00", seconds=5400),
        Job("0", names, JobState.ENDED, submitted="2020-01-01T00:00:00+00:00", seconds=5400),
    ]
    assert spent(allocations, jobs, "Slurm") == [
        "Allocations: m took 2 h 30 min in 2 Slurm jobs, about 2 h 00 min expected "
        "(5.0 GPU-hours, 4.0 expected)"
    ]
    assert spent(Opened(tmp_path, content()), jobs, "Slurm") == []


def test_each_evaluation_whose_health_warns_has_a_line() -> None:
    def row(number: int, warning: str | None) -> dict[str, str | None]:
        return {"model": "m", "benchmark": f"b{number}", "warning": warning}

    assert warnings([row(1, "7 of 60 answers were cut"), row(1, "7 of 60 answers were cut")]) == [
        "Warning: m/b1: 7 of 60 answers were cut"
    ]
    assert warnings([row(1, None), {"model": "m", "benchmark": "of an earlier version"}]) == []
    many = warnings([row(number, "cut") for number in range(25)])
    assert len(many) == 21
    assert many[-1] == "and 5 more warnings in the column health of the table"


def test_a_terminal_also_shows_the_scores_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"model": model, "benchmark": benchmark, "metric": "acc", "value": value,
         "higher_is_better": True, "status": "done"}
        for model, benchmark, value in zip("aabb", "xyxy", (0.5, 0.5, 1, 0), strict=True)
    ]  # fmt: skip
    invocation = SimpleNamespace(directory=SimpleNamespace(table="t"), run=SimpleNamespace(id="8b"))
    end = End(cast(Any, invocation), cast(Any, None), cast(Any, None))
    monkeypatch.setattr(on_end, "columns", lambda: None)
    assert "\x1b" not in end._text(rows)
    monkeypatch.setattr(on_end, "columns", lambda: 80)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\na  0.5000  \x1b[1m0.5000\x1b[0m\nb  \x1b[1m1.0000\x1b[0m  0.0000\n" in end._text(rows)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\na  0.5000  0.5000\nb  1.0000  0.0000\n" in end._text(rows)
    assert end._next.startswith("Next:    snakeval report 8b --open")


def test_a_home_that_cannot_be_written_at_the_end_costs_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "file"))
    invocation = SimpleNamespace(deployed={}, selected={})
    End(cast(Any, invocation), cast(Any, None), cast(Any, None))._learn([])


def test_the_end_of_a_command_decides_and_delivers_alarms_and_none_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HOOK", raising=False)
    scores = {"r@1": {"b": [1] * 100}, "r@2": {"b": [0] * 100}}
    run, out = Sampled(tmp_path, scores), tmp_path / "out"
    alert = {"drop": True, "command": f"cat >> '{out}'", "webhook": "HOOK"}
    data = {"models": {"m": MODEL}, "benchmarks": {"b": {**BENCHMARK, "alert": alert}}}
    invocation = SimpleNamespace(
        directory=run.directory, config=config(tmp_path, data), selected=run.evaluations
    )
    end = End(cast(Any, invocation), cast(Any, None), cast(Any, None))
    end.alarm()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Alarm: r@2 dropped on b: acc is 0.000")
    assert second.startswith("alarm not delivered: $HOOK is not set. snakeval tries again, less")
    message = json.loads(out.read_text())
    assert (message["kind"], message["model"]) == ("drop", "r@2")
    end.alarm()
    assert json.loads(out.read_text()) == message
    run.directory.alarms.unlink()
    run.directory.alarms.mkdir()
    end.alarm()
    assert "alarms failed: " in capsys.readouterr().out
