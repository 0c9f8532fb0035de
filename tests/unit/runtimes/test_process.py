"""The embedded default: a harness in a Python environment of its own."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from snakeval.errors import EvaluationError
from snakeval.processes import process_lives
from snakeval.runtimes.marked import oom_kills
from snakeval.runtimes.process import connect, environment
from snakeval.runtimes.spec import ContainerSpec


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that pip installs without any index, as a requirement."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = tmp_path / "tool-1.0-py3-none-any.whl"
    make_wheel(wheel)
    return f"tool @ {wheel.as_uri()}"


def make_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tool.py", "print('a tool')\n")
        info = "tool-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def spec(tmp_path: Path, *argv: str, packages: tuple[str, ...] = ()) -> ContainerSpec:
    name = f"snakeval-test-{os.getpid()}"
    return ContainerSpec(name, "", argv, str(tmp_path), packages=packages, grace=1)


def run(what: ContainerSpec, tmp_path: Path) -> str:
    with (tmp_path / "log").open("w+b") as log:
        assert connect().run(what, log, Event()).exit_code == 0
        log.seek(0)
        return log.read().decode()


def test_an_environment_is_made_once_even_if_two_want_it(tmp_path: Path, package: str) -> None:
    what = spec(tmp_path, "python", "-c", "import tool", packages=(package,))
    told: list[str] = []
    threads = [
        threading.Thread(target=connect().prepare, args=(what, told.append)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(text.startswith("making the environment") for text in told) == 1
    assert connect().has(what)
    assert run(what, tmp_path) == "a tool\n"


def test_one_that_was_half_made_is_made_again(tmp_path: Path, package: str) -> None:
    what = spec(tmp_path, "python", "-c", "import tool", packages=(package,))
    half = environment(what)
    assert half
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("half")
    connect().prepare(what, lambda text: None)
    assert run(what, tmp_path) == "a tool\n"


def test_by_hand_it_is_made_where_it_is_absent(tmp_path: Path, package: str) -> None:
    what = spec(tmp_path, "python", "-c", "import tool", packages=(package,))
    text = connect().shell(what)
    for _ in range(2):
        done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "a tool\n"), done.stderr


def test_a_package_that_cannot_be_had_is_said_in_one_sentence(tmp_path: Path, package: str) -> None:
    what = spec(tmp_path, "true", packages=("no-such-package==1.0",))
    with pytest.raises(EvaluationError) as refused:
        connect().prepare(what, lambda text: None)
    assert "cannot make the harness's environment: ERROR: " in str(refused.value)
    assert "no-such-package==1.0" in str(refused.value)
    assert not connect().has(what)


def test_a_command_that_names_no_package_needs_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    what = spec(tmp_path, "echo", "hello")
    assert connect().has(what)
    connect().prepare(what, lambda text: None)
    assert run(what, tmp_path) == "hello\n"
    assert not (tmp_path / "home").exists()


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match="'no-such-x'"):
        connect().run(spec(tmp_path, "no-such-x"), log, Event())


def test_its_environment_is_the_one_that_is_named(
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


def test_it_sees_the_gpus_that_are_named(tmp_path: Path) -> None:
    what = spec(tmp_path, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    what = replace(what, gpu_ids=("0", "GPU-5c3d"), env={"CUDA_VISIBLE_DEVICES": "7"})
    assert run(what, tmp_path) == "0,GPU-5c3d\n"
    by_hand = subprocess.run(["bash", "-ec", connect().shell(what)], capture_output=True, text=True)
    assert by_hand.stdout == "0,GPU-5c3d\n"


def test_an_entry_point_is_refused(tmp_path: Path) -> None:
    what = replace(spec(tmp_path, "--help"), entry_point=True)
    refused = "runtime process has no image whose entry point could run; write `command`"
    with pytest.raises(EvaluationError, match=refused):
        connect().prepare(what, print)
    with pytest.raises(EvaluationError, match=refused):
        connect().shell(what)
    with (tmp_path / "log").open("wb") as log, pytest.raises(EvaluationError, match=refused):
        connect().run(what, log, Event())


def test_the_kernels_kills_for_want_of_memory_are_counted() -> None:
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
def test_a_kill_is_for_want_of_memory_if_the_kernel_counts_one(
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


def test_what_a_harness_leaves_running_ends_with_it(tmp_path: Path) -> None:
    command = "sleep 300 & echo $!"
    pid = int(run(spec(tmp_path, "sh", "-c", command), tmp_path))
    until = time.monotonic() + 30
    while process_lives(pid):
        assert time.monotonic() < until, "it is left running"
