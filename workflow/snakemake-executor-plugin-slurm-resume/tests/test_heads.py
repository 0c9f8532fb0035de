"""The Snakemakes of one directory: which live, what they wait for, and which one submits a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakemake_executor_plugin_slurm_resume.heads import Heads, Submission


def entered(directory: Path, *jobs: str, host: str = "", pid: int = 0) -> Heads:
    heads = Heads(directory / "heads", host=host, pid=pid)
    heads.enter()
    heads.wait_for(jobs)
    return heads


def gone() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_snakemake_sees_what_others_wait_for_until_they_leave(tmp_path: Path) -> None:
    mine = entered(tmp_path, "1", "2")
    assert mine.others() == {}
    other = entered(tmp_path, "2", "3", pid=os.getppid())
    assert [*mine.others().values()] == [{"2", "3"}]
    assert [*other.others().values()] == [{"1", "2"}]
    other.leave()
    assert mine.others() == {}


def test_a_snakemake_that_was_killed_waits_for_nothing_and_its_file_goes(tmp_path: Path) -> None:
    entered(tmp_path, "1", pid=gone())
    mine = entered(tmp_path)
    assert mine.others() == {}
    assert len([*(tmp_path / "heads").iterdir()]) == 1


def test_a_snakemake_of_another_host_lives_as_long_as_it_shows_it(tmp_path: Path) -> None:
    other = entered(tmp_path, "1", host="elsewhere", pid=1)
    mine = entered(tmp_path)
    assert mine.others() == {"process 1 on elsewhere": {"1"}}
    file = tmp_path / "heads" / f"{other.id}.json"
    os.utime(file, times=(time.time() - 700,) * 2)
    assert mine.others() == {}
    other.wait_for(["1"])
    assert mine.others() != {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"host": "h", "pid": "x"}'])
def test_a_damaged_file_is_no_snakemake(tmp_path: Path, text: str) -> None:
    mine = entered(tmp_path)
    (tmp_path / "heads/damaged.json").write_text(text)
    assert mine.others() == {}
    entered(tmp_path)
    assert not (tmp_path / "heads/damaged.json").exists()


def test_one_snakemake_submits_a_task_at_a_time(tmp_path: Path) -> None:
    mine, other = entered(tmp_path), entered(tmp_path, pid=os.getppid())
    first, second = (Submission(tmp_path, "task", heads) for heads in (mine, other))
    assert first.take()
    assert not second.take()
    assert Submission(tmp_path, "another", other).take()
    first.give_back()
    assert second.take()


@pytest.mark.parametrize("owner", ["gone", "unknown"])
def test_the_right_of_a_lost_snakemake_is_free(tmp_path: Path, owner: str) -> None:
    mine = entered(tmp_path)
    lost = entered(tmp_path, pid=gone())
    assert Submission(tmp_path, "task", lost).take()
    if owner == "unknown":
        lost.leave()
    assert Submission(tmp_path, "task", mine).take()
    assert json.loads((tmp_path / "heads" / f"{mine.id}.json").read_text())["pid"] == os.getpid()
