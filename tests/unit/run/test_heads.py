"""The Snakemake processes that work on a run."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.lease import Lease
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head, enter, heads, is_waiting, leave, workers
from support.limits import HUNG
from support.made import gone

HOUR = 3600.0


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


def note(run: RunDirectory, age: float = 0, **head: object) -> Path:
    file = run.head_file("elsewhere", 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"host": "elsewhere", "pid": 1, "start": "1", "command": "snakemake"} | head)
    )
    os.utime(file, times=(time.time() - age,) * 2)
    return file


def test_a_process_enters_a_run_and_leaves_it(run: RunDirectory) -> None:
    enter(run, ["snakemake", "-n"])
    (head,) = heads(run)
    assert (head.pid, head.lives, head.command) == (os.getpid(), True, "snakemake -n")
    leave(run)
    assert heads(run) == []


def test_a_head_whose_pid_another_process_has_now_is_gone(run: RunDirectory) -> None:
    enter(run, ["snakemake"])
    (file,) = run.head_files()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"start": "1"}))
    assert heads(run) == []


def test_a_head_that_ended_is_gone(run: RunDirectory) -> None:
    enter(run, ["snakemake"])
    (file,) = run.head_files()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pid": gone()}))
    assert heads(run) == []


@pytest.mark.parametrize(("beats", "age", "there"), [
    (15, 60, True), (15, HOUR, False), (0, 24 * HOUR, True), (0, 40 * 24 * HOUR, False),
])  # fmt: skip
def test_a_head_of_another_host_is_gone_if_it_shows_no_sign_of_life(
    run: RunDirectory, beats: float, age: float, there: bool
) -> None:
    note(run, age, beats=beats)
    assert [head.lives for head in heads(run)] == [None] * there


def test_a_head_shows_that_it_lives(run: RunDirectory) -> None:
    enter(run, ["snakemake"], beats=0.01)
    (file,) = run.head_files()
    os.utime(file, times=(0, 0))
    until = time.monotonic() + HUNG
    while file.stat().st_mtime == 0:
        assert time.monotonic() < until
        time.sleep(0.005)
    leave(run)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"pid": "x"}', "\xff"])
def test_a_damaged_note_is_reported_and_is_no_head(
    run: RunDirectory, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    note(run).write_text(content, encoding="latin-1")
    assert heads(run) == []
    assert "is damaged" in capsys.readouterr().err


def test_a_later_version_may_note_more(run: RunDirectory) -> None:
    note(run, more=1)
    assert heads(run) == [Head("elsewhere", 1, "1", "snakemake")]


def test_a_follower_without_the_lease_waits(run: RunDirectory) -> None:
    enter(run, ["snakeval", "follow"], follows=True)
    (first,) = workers(run)
    with Lease(run.follow_lease):
        assert not is_waiting(run, first)
        assert is_waiting(run, replace(first, pid=first.pid + 1))
    assert not is_waiting(run, first)
