"""A change wakes the follower where the file system reports it; else it looks every 3 s."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from snakeval.follow.watch import LOOK_SECONDS, SAFETY_SECONDS, Watch, file_system_of
from support.limits import HUNG

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def local(folder: str) -> str:
    return "ext4"


@linux
def test_change_wakes_and_nothing_else_does(tmp_path: Path) -> None:
    watch = Watch(file_system=local)
    assert watch.follow([str(tmp_path)])
    assert not watch.follow([str(tmp_path)])
    assert watch.look_seconds == SAFETY_SECONDS
    assert not watch.wait(0)
    (tmp_path / "a").mkdir()
    assert watch.wait(HUNG)
    watch.follow([str(tmp_path), str(tmp_path / "a")])
    (tmp_path / "a/file").write_text("x")
    assert watch.wait(HUNG)
    (tmp_path / "a/file").read_text()
    assert not watch.wait(0)
    shutil.rmtree(tmp_path / "a")
    assert watch.wait(HUNG)
    (tmp_path / "a").mkdir()
    watch.wait(0)
    assert watch.follow([str(tmp_path), str(tmp_path / "a")]), "a new folder of the same name"
    (tmp_path / "a/file").write_text("x")
    assert watch.wait(HUNG)
    watch.close()


@linux
@pytest.mark.parametrize("kind", ["nfs4", "lustre", "fuse.sshfs", "9p", ""])
def test_network_file_system_is_looked_at(tmp_path: Path, kind: str) -> None:
    slept: list[float] = []
    watch = Watch(file_system=lambda folder: kind, sleep=slept.append)
    watch.follow([str(tmp_path)])
    assert watch.look_seconds == LOOK_SECONDS
    watch.close()


def test_without_inotify_it_sleeps(tmp_path: Path) -> None:
    slept: list[float] = []
    watch = Watch(events=False, sleep=slept.append)
    watch.follow([str(tmp_path)])
    assert watch.look_seconds == LOOK_SECONDS
    assert not watch.wait(0.3)
    assert slept == [0.3]


@linux
def test_one_folder_without_events_is_enough(tmp_path: Path) -> None:
    watch = Watch(file_system=lambda folder: "nfs" if folder.endswith("b") else "xfs")
    for name in "ab":
        (tmp_path / name).mkdir()
    watch.follow([str(tmp_path / "a")])
    assert watch.has_events
    watch.follow([str(tmp_path / "a"), str(tmp_path / "b")])
    assert not watch.has_events
    watch.close()


@linux
def test_file_system_of_a_folder_is_known() -> None:
    assert file_system_of("/proc") == "proc"
