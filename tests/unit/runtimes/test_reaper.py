"""The reaper of a command removes the shared memory that its processes held."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from threading import Event, Thread

import pytest

from snakeval.runtimes.reaped import run_reaped
from support.machine import eventually

SHM = Path("/dev/shm")

#: Makes shared memory as Python does, and waits to be killed.
_HOLDS = """\
import multiprocessing, os, sys, time
from multiprocessing.shared_memory import SharedMemory
context = multiprocessing.get_context("spawn")
made = SharedMemory(create=True, size=4096)
semaphore = context.Lock()
names = made.name, "sem." + semaphore._semlock.name.strip("/"), *sys.argv[3:]
for name in sys.argv[3:]:  # existing ones
    import mmap
    with open("/dev/shm/" + name, "r+b") as file:
        globals()["kept_" + name.replace("-", "_")] = mmap.mmap(file.fileno(), 0)
with open(sys.argv[1] + ".draft", "w") as file:
    file.write(" ".join(names))
os.rename(sys.argv[1] + ".draft", sys.argv[1])
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
os.killpg(0, 9)  # with the tracker of Python, which removes it otherwise
"""


def run(text: str, directory: Path) -> int:
    with (directory / "log").open("ab") as log:
        return run_reaped(["sh", "-c", text], log, Event(), grace=5, stdin=b"")


def wait_for_a_look(directory: Path) -> None:
    """Wait until the reaper has looked at the shared memory of the command.

    The reaper doubles the pause after each look, and so looks again before the time has doubled.
    """
    began = time.monotonic()
    eventually((directory / "names").exists, "no names")
    time.sleep(time.monotonic() - began + 1.5)


def die_after_a_look(directory: Path) -> None:
    wait_for_a_look(directory)
    (directory / "die").touch()


@pytest.fixture
def holds(tmp_path: Path) -> str:
    (tmp_path / "holds.py").write_text(_HOLDS)
    return f"exec {sys.executable} {tmp_path}/holds.py {tmp_path}/names {tmp_path}/die"


def test_the_shared_memory_of_a_killed_command_is_removed(tmp_path: Path, holds: str) -> None:
    Thread(target=die_after_a_look, args=(tmp_path,)).start()
    assert run(holds, tmp_path) == 137
    names = (tmp_path / "names").read_text().split()
    assert [name[:4] for name in names] == ["psm_", "sem."]
    assert [name for name in names if (SHM / name).exists()] == []


def test_shared_memory_of_others_stays(tmp_path: Path, holds: str) -> None:
    others = f"psm_old_{uuid.uuid4().hex[:8]}"
    (SHM / others).write_bytes(bytes(4096))
    try:
        Thread(target=die_after_a_look, args=(tmp_path,)).start()
        assert run(f"{holds} {others}", tmp_path) == 137
        made, _, kept = (tmp_path / "names").read_text().split()
        assert not (SHM / made).exists()
        assert (SHM / kept).exists(), "it was there before the command"
    finally:
        (SHM / others).unlink()


def test_shared_memory_that_another_process_uses_stays(tmp_path: Path, holds: str) -> None:
    import mmap

    def share() -> None:
        wait_for_a_look(tmp_path)
        name = (tmp_path / "names").read_text().split()[0]
        with (SHM / name).open("r+b") as file:
            shared.append((name, mmap.mmap(file.fileno(), 0)))
        (tmp_path / "die").touch()

    shared: list[tuple[str, mmap.mmap]] = []
    Thread(target=share).start()
    assert run(holds, tmp_path) == 137
    ((name, mapped),) = shared
    assert (SHM / name).exists()
    mapped.close()
    (SHM / name).unlink()


def test_shared_memory_that_is_new_under_an_old_name_stays(tmp_path: Path, holds: str) -> None:
    def replace() -> None:
        wait_for_a_look(tmp_path)
        replaced.append((tmp_path / "names").read_text().split()[0])
        other = SHM / f"{replaced[0]}.new"
        other.touch(mode=0o600)
        other.replace(SHM / replaced[0])
        (tmp_path / "die").touch()

    replaced: list[str] = []
    Thread(target=replace).start()
    assert run(holds, tmp_path) == 137
    assert (SHM / replaced[0]).exists()
    (SHM / replaced[0]).unlink()
