"""Tests the cache of converted images: whole, made once, and checked before each use."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes import connect
from snakeval.runtimes.spec import ContainerSpec

#: Converts by writing the time-stamped count of its calls.
APPTAINER = """#!/bin/sh
if [ "$1" = exec ]; then echo --no-eval; exit; fi
echo call >> "$CALLS"
[ -z "$FAILS" ] || { echo half > "$2"; echo "FATAL: no space"; exit 1; }
printf 'image of %s' "$3" > "$2"
"""
SPEC = ContainerSpec("snakeval-test-images", "registry.example/harness:1", (), "/")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(APPTAINER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "calls"


def conversions(calls: Path) -> int:
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def prepare(spec: ContainerSpec = SPEC) -> list[str]:
    said: list[str] = []
    connect("apptainer").prepare(spec, said.append)
    return said


def converted(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "home").rglob("*.sif")
    return found


def truncate(file: Path) -> None:
    os.truncate(file, 3)


def change(file: Path) -> None:
    file.write_text(file.read_text().upper())


def empty(file: Path) -> None:
    file.write_text("")


def forget(file: Path) -> None:
    """As an earlier release, which wrote nothing about the file."""
    file.with_name(f"{file.name}.json").unlink(missing_ok=True)


def garble(file: Path) -> None:
    file.with_name(f"{file.name}.json").write_text("[]")


@pytest.mark.parametrize("harm", [truncate, change, empty, forget, garble])
def test_a_damaged_image_is_not_used_but_converted_again(
    tmp_path: Path, calls: Path, harm: Callable[[Path], None]
) -> None:
    prepare()
    assert connect("apptainer").has(SPEC)
    harm(converted(tmp_path))
    assert not connect("apptainer").has(SPEC)
    (first, *_) = prepare()
    assert first.startswith("converting registry.example/harness:1 to ")
    assert conversions(calls) == 2
    assert converted(tmp_path).read_text() == "image of docker://registry.example/harness:1"
    assert connect("apptainer").has(SPEC)


def test_a_whole_image_is_used_also_if_its_time_changed(tmp_path: Path, calls: Path) -> None:
    prepare()
    os.utime(converted(tmp_path), (1, 1))
    assert connect("apptainer").has(SPEC)
    assert prepare() == []
    assert conversions(calls) == 1


def test_another_machine_has_another_file(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not connect("apptainer").has(SPEC)


def test_a_failed_conversion_leaves_nothing(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(EvaluationError, match=r"cannot be converted \(FATAL: no space\)"):
        prepare()
    left = [path.name for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert left == []


def test_two_threads_convert_once(calls: Path) -> None:
    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conversions(calls) == 1
