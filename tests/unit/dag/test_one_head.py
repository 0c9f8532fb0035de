"""A second Snakemake at the evaluations of a living one, on an executor that shares its jobs."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from snakeval.dag import on_start
from snakeval.dag.invocation import Invocation
from snakeval.dag.one_head import refuse_second_head
from snakeval.errors import ConfigError
from snakeval.executors.base import Executor
from snakeval.executors.slurm.executor import Slurm
from snakeval.run import heads
from snakeval.run.heads import HEAD_JOB, Head
from support.configs import COMMAND
from support.invocations import TWO, invocation, matrix
from support.made import gone

HERE = socket.gethostname()


def works(opened: Invocation, pid: int, *, host: str = HERE, age: float = 0, **head: object) -> str:
    """Another command works at the run of an invocation; return the file that says so."""
    opened.run.start()
    opened.saved.save("", opened.planned, (), {})
    noted = {"start": "", "command": "snakemake", "invocation": opened.key} | head
    place = opened.directory.head_file(host, pid)
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(asdict(Head.from_dict({"host": host, "pid": pid} | noted))))
    os.utime(place, times=(time.time() - age,) * 2)
    return str(place)


def refused(opened: Invocation, *, entered: bool = False) -> str:
    try:
        refuse_second_head(opened, entered=entered)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_living_head_at_a_shared_evaluation_refuses_a_second_one(tmp_path: Path) -> None:
    opened = invocation(tmp_path)
    works(opened, os.getppid())
    id = opened.run.id
    assert refused(invocation(tmp_path)) == (
        f"run {id}: process {os.getppid()} on {HERE} already works at m/b, m/c, n/b, n/c; follow "
        f"it with `snakeval status {id} --watch`, or stop it with `snakeval kill {id}`"
    )


@pytest.mark.parametrize(
    ("theirs", "mine", "shared"),
    [
        ({"models": ["m"]}, {"models": "n"}, ""),
        ({"models": ["m"]}, {"models": "m,n"}, "m/b, m/c;"),
        ({"benchmarks": ["b"]}, {"benchmarks": "c"}, ""),
        ({"benchmarks": ["b"]}, {"models": "n"}, "n/b;"),
        ({"invocation": ""}, {"models": "n"}, "n/b, n/c;"),
    ],
)
def test_only_what_both_commands_chose_counts(
    tmp_path: Path, theirs: dict[str, object], mine: dict[str, str], shared: str
) -> None:
    works(invocation(tmp_path), os.getppid(), **theirs)
    message = refused(invocation(tmp_path, **mine))
    assert (f"works at {shared}" in message) if shared else not message


def test_an_evaluation_that_the_other_plan_lacks_is_not_shared(tmp_path: Path) -> None:
    works(invocation(tmp_path), os.getppid())
    more = TWO | {"benchmarks": TWO["benchmarks"] | {"new": COMMAND}}
    assert not refused(invocation(tmp_path, more, benchmarks="new"))


def test_a_head_that_has_ended_refuses_none(tmp_path: Path) -> None:
    works(invocation(tmp_path), gone())
    assert not refused(invocation(tmp_path))


@pytest.mark.parametrize(("age", "refuses"), [(60, True), (600, False)])
def test_a_head_of_another_host_counts_while_it_shows_that_it_lives(
    tmp_path: Path, age: float, refuses: bool
) -> None:
    works(invocation(tmp_path), 7, host="login2", age=age, beats=15.0)
    message = refused(invocation(tmp_path))
    assert bool(message) is refuses
    if refuses:
        assert message.endswith("; if it has ended, try again 180 s after its end")


def test_the_same_slurm_job_that_starts_again_is_no_second_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(invocation(tmp_path), 7, host="n3", beats=15.0, job="12")
    monkeypatch.setattr(heads, "_job_lives", lambda job: True)
    assert "process 7 on n3" in refused(invocation(tmp_path))
    monkeypatch.setenv(HEAD_JOB, "12")
    assert not refused(invocation(tmp_path))


def test_of_two_that_begin_at_the_same_time_the_later_one_fails(tmp_path: Path) -> None:
    opened = invocation(tmp_path)
    works(opened, os.getppid(), since=1)
    works(opened, os.getpid(), since=2)
    assert refused(opened, entered=True)
    works(opened, os.getpid(), since=0.5)
    assert not refused(opened, entered=True)


@pytest.mark.parametrize(("executor", "fails"), [(Slurm, True), (Executor, False)])
def test_a_start_on_slurm_fails_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: type[Executor], fails: bool
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(executor, "checks", lambda self, intent: ())
    opened = matrix(tmp_path, runtime="process")
    works(opened.invocation, os.getppid())
    start = on_start.Start(opened.invocation, opened.allocations, remote=True, executor=executor())
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    if not fails:
        start.write()
        return
    with pytest.raises(ConfigError, match="already works at"):
        start.write()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
