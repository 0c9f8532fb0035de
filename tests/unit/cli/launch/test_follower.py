"""A follower works here, waits for another one, or starts elsewhere with the same words."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from snakeval.cli.launch import follower as launched
from snakeval.lease import Lease
from snakeval.processes import ProcessIdentity
from snakeval.run import heads, index
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, write
from support.made import Said, snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def train(place: Path) -> Path:
    """Write a configuration with a series; return the directory of its checkpoints."""
    series = {
        "checkpoints": {"pattern": "train/step-{step}"},
        "deployment": {"kind": "generic", "command": "serve {{ port }}", "runtime": "process"},
    }
    lease = {"heartbeat": 0.1, "stale": 2}
    data = {"runtime": "process", "lease": lease, "models": {"run7": series}}
    write(place, {**data, "benchmarks": {"b": COMMAND}})
    return place / "train"


def follow(capsys: Capture, *words: str) -> Said:
    return snakeval(capsys, "follow", "c.yaml", *words)


def run_of(place: Path) -> RunDirectory:
    (found,) = (path for path in (place / "results").iterdir() if RunDirectory.id_of(path.name))
    return RunDirectory(found)


def test_it_starts_a_run_without_a_checkpoint(train: Path, capsys: Capture) -> None:
    said = follow(capsys, "--until", "0s")
    assert said.exit_code == 0
    run = run_of(train.parent)
    assert f"follows {train}/step-{{step}} in run {run.id}" in said.out
    assert not run.follow_lease.exists()
    assert heads.followers(run) == []
    (entry,) = index.entries()
    assert entry.id == run.id
    assert entry.command[0].endswith("snakemake")
    assert snakeval(capsys, "status", run.id).exit_code == 0
    assert follow(capsys, "--until", "0s").exit_code == 0
    assert run_of(train.parent).id == run.id


def test_configuration_without_a_series_is_an_error(place: Path, capsys: Capture) -> None:
    said = follow(capsys)
    assert said.exit_code == 2
    assert "nothing to follow" in said.err


def test_second_follower_waits_for_the_first(train: Path, capsys: Capture) -> None:
    follow(capsys, "--until", "0s")
    run = run_of(train.parent)
    first = Lease(run.follow_lease, heartbeat=0.1)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "already follows" in line:
            (waiting,) = heads.followers(run)
            assert waiting.pid == os.getpid(), "`kill` finds a follower that waits"
            first.__exit__(None, None, None)

    with first, pytest.MonkeyPatch.context() as patched:
        patched.setattr(launched, "say", say)
        assert follow(capsys, "--until", "0s").exit_code == 0
    assert [line.partition(" in run")[0] for line in said] == [
        f"process {os.getpid()} on {ProcessIdentity.of(os.getpid()).host} already follows",
        f"follows {train}/step-{{step}}",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_it(
    train: Path, capsys: Capture, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(self: Any, seconds: float) -> bool:
        os.kill(os.getpid(), number)
        return False

    monkeypatch.setattr("snakeval.follow.watched.WatchedSeries.wait", wait)
    before = signal.getsignal(number)
    said = follow(capsys)
    assert said.exit_code == 130
    (last,) = said.out.splitlines()[-1:]
    assert "the follower has ended, and nothing works at run" in last
    assert last.endswith("Run the same command to continue")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["c.yaml", "--detach", "--slots", "2"], ["c.yaml", "--slots", "2"]),
        (
            ["c.yaml", "--until", "12h", "--head-on-cluster", "--until-file=x"],
            ["--until", "2026-11-30T20:00:00", "c.yaml", "--until-file=x"],
        ),
        (["--until=12h", "c.yaml", "--detach"], ["--until", "2026-11-30T20:00:00", "c.yaml"]),
        (["c.yaml", "--detach", "--until", "200"], ["c.yaml", "--until", "200"]),
    ],
)
def test_follower_elsewhere_ends_when_this_one_would(words: list[str], again: list[str]) -> None:
    from datetime import datetime

    from snakeval.follow.until import Until

    given = [word.removeprefix("--until=") for word in words if "until-file" not in word]
    text = given[given.index("--until") + 1] if "--until" in given else ""
    text = text or ("12h" if "12h" in given else "")
    end = Until.read(text, None, datetime(2026, 11, 30, 8, 0))
    made = launched.Following(None, 1, end, ["follow", *words])  # type: ignore[arg-type]
    assert made._elsewhere() == ["follow", *again]


def test_it_starts_in_the_background(
    train: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def background(argv: list[str], run: object) -> int:
        started.append(argv)
        return 0

    monkeypatch.setattr(launched, "in_background", background)
    monkeypatch.setattr(sys, "argv", ["snakeval", "follow", "c.yaml", "--detach"])
    assert follow(capsys, "--detach").exit_code == 0
    assert started == [[sys.executable, "-m", "snakeval", "follow", "c.yaml"]]
