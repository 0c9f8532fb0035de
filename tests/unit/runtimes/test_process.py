"""Tests the runtime that runs a harness in its own Python environment."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError
from snakeval.processes import process_lives
from snakeval.runtimes.marked import oom_kills
from snakeval.runtimes.process import connect
from support.bare import run, spec
from support.limits import HUNG


def test_a_command_without_packages_requires_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    what = spec(tmp_path, "echo", "hello")
    assert connect().has(what)
    connect().prepare(what, lambda text: None)
    assert run(what, tmp_path) == "hello\n"
    assert not (tmp_path / "home").exists()


def test_the_error_of_a_missing_command_names_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match="'no-such-x'"):
        connect().run(spec(tmp_path, "no-such-x"), log, Event())


def test_a_process_inherits_the_specs_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", "x")
    tool = tmp_path / "bin" / "only-there"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho ${HERE-none} $THERE\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"
    what = replace(spec(tmp_path, "only-there"), environ={"PATH": path, "THERE": "y"})
    assert run(what, tmp_path) == "none y\n"


def test_a_process_sees_the_selected_gpus(tmp_path: Path) -> None:
    what = spec(tmp_path, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    what = replace(what, gpu_ids=("0", "GPU-5c3d"), env={"CUDA_VISIBLE_DEVICES": "7"})
    assert run(what, tmp_path) == "0,GPU-5c3d\n"
    by_hand = subprocess.run(["bash", "-ec", connect().shell(what)], capture_output=True, text=True)
    assert by_hand.stdout == "0,GPU-5c3d\n"


def test_an_entry_point_is_an_error(tmp_path: Path) -> None:
    what = replace(spec(tmp_path, "--help"), entry_point=True)
    refused = "runtime process has no image, and so no entry point to run; write `command`"
    with pytest.raises(EvaluationError, match=refused):
        connect().prepare(what, print)
    with pytest.raises(EvaluationError, match=refused):
        connect().shell(what)
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match=refused):
        connect().run(what, log, Event())


def test_oom_kills_reads_the_kernels_counter() -> None:
    assert oom_kills("nr_free_pages 5\noom_kill 12\nnuma_hit 3\n") == 12
    assert oom_kills("oom_kill_other 4\n") == 0
    assert oom_kills("") == 0


@pytest.mark.parametrize(
    ("command", "code", "kills", "expected"),
    [
        ("kill -9 $$", 137, 1, True),
        ("kill -9 $$", 137, 0, False),
        ("exit 1", 1, 1, False),  # somebody else's
    ],
)
def test_a_kill_is_out_of_memory_if_the_kernel_counts_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    code: int,
    kills: int,
    expected: bool,
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 3\n")
    monkeypatch.setattr("snakeval.runtimes.marked._VMSTAT", counter)
    what = spec(tmp_path, "sh", "-c", f"echo oom_kill {3 + kills} > vmstat; {command}")
    with (tmp_path / "log").open("wb") as log:
        outcome = connect().run(what, log, Event())
    assert (outcome.exit_code, outcome.out_of_memory) == (code, expected)


def test_processes_that_a_harness_leaves_end_with_it(tmp_path: Path) -> None:
    command = "sleep 1800 & echo $!"
    pid = int(run(spec(tmp_path, "sh", "-c", command), tmp_path))
    until = time.monotonic() + HUNG
    while process_lives(pid):
        assert time.monotonic() < until, "it is left running"
