"""The embedded default: a harness in a Python environment of its own."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import zipfile
from pathlib import Path
from threading import Event

import pytest

from snakeval.container import ContainerSpec
from snakeval.errors import EvaluationError
from snakeval.lease import process_lives
from snakeval.runtimes.process import connect, environment


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


def test_what_a_harness_leaves_running_ends_with_it(tmp_path: Path) -> None:
    command = "sleep 300 & echo $!"
    pid = int(run(spec(tmp_path, "sh", "-c", command), tmp_path))
    until = time.monotonic() + 30
    while process_lives(pid):
        assert time.monotonic() < until, "it is left running"
