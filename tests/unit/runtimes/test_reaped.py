"""Nothing of a command is left, whatever it starts and whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from snakeval.processes import process_lives
from snakeval.runtimes.marked import MARK, kill_leftovers
from snakeval.runtimes.reaped import run_reaped
from snakeval.runtimes.spec import ContainerSpec
from support.machine import eventually

#: Starts a daemon that leaves its session, its parent and its environment.
_DAEMON = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open(sys.argv[1] + '.draft', 'w').write(str(os.getpid()))\n"
    "        os.rename(sys.argv[1] + '.draft', sys.argv[1])\n"
    "        os.execve(sys.executable, ['daemon', '-c', 'import time; time.sleep(600)'], {})\n"
    "    os._exit(0)\n"
    "while not os.path.exists(sys.argv[1]):\n"
    "    time.sleep(0.01)\n"
)


@pytest.fixture
def daemon(tmp_path: Path) -> str:
    """Shell text that leaves a daemon, whose pid is in the file `daemon`."""
    (tmp_path / "daemon.py").write_text(_DAEMON)
    return f"{sys.executable} {tmp_path}/daemon.py {tmp_path}/daemon"


def pid_in(file: Path) -> int:
    eventually(file.exists, f"no {file}")
    return int(file.read_text())


def run(text: str, directory: Path, *, stop: Event | None = None, grace: float = 5) -> int:
    with (directory / "log").open("ab") as log:
        return run_reaped(["sh", "-c", text], log, stop or Event(), grace=grace, stdin=b"")


def test_a_daemon_ends_with_the_command_that_left_it(tmp_path: Path, daemon: str) -> None:
    assert run(f"{daemon}; exit 7", tmp_path) == 7
    assert not process_lives(pid_in(tmp_path / "daemon"))


def test_the_command_has_its_input_output_environment_and_exit_code(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        code = run_reaped(
            ["sh", "-c", 'read -r line; echo "$line $WORD"; kill -9 $$'],
            log,
            Event(),
            grace=5,
            stdin=b"hello\n",
            env={"PATH": os.environ["PATH"], "WORD": "it's\nhere"},
        )
    assert code == 137
    assert (tmp_path / "log").read_text() == "hello it's\nhere\n"


def test_a_command_that_cannot_start_is_not_found(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        code = run_reaped(["no-such"], log, Event(), grace=5, stdin=b"")
    assert code == 127
    assert (tmp_path / "log").read_text() == "no-such: No such file or directory\n"


def stop_of(directory: Path) -> Event:
    """An event that is set as soon as the daemon has started."""
    stop = Event()

    def wait() -> None:
        pid_in(directory / "daemon")
        stop.set()

    Thread(target=wait, daemon=True).start()
    return stop


def test_a_stop_is_forwarded(tmp_path: Path, daemon: str) -> None:
    stop = stop_of(tmp_path)
    text = f"trap 'echo bye; exit 3' TERM; {daemon}; while :; do sleep 0.05; done"
    assert run(text, tmp_path, stop=stop) == 3
    assert (tmp_path / "log").read_text() == "bye\n"
    assert not process_lives(pid_in(tmp_path / "daemon"))


def test_a_command_that_ignores_a_stop_is_killed_after_its_grace(
    tmp_path: Path, daemon: str
) -> None:
    stop = stop_of(tmp_path)
    text = f"trap '' TERM; {daemon}; while :; do sleep 0.05; done"
    assert run(text, tmp_path, stop=stop, grace=0.5) == 137
    assert not process_lives(pid_in(tmp_path / "daemon"))


def spec(text: str) -> ContainerSpec:
    name = f"snakeval-test-{uuid.uuid4().hex[:8]}"
    return ContainerSpec(name, "", ("sh", "-c", text), "/tmp", grace=1)


OWNER = """
import sys
from threading import Event
from snakeval.runtimes.marked import run_marked, MARK
from snakeval.runtimes.spec import ContainerSpec
import os
name, text, log = sys.argv[1:]
made = ContainerSpec(name, "", ("sh", "-c", text), "/tmp", grace=1)
env = {**os.environ, MARK: name}
with open(log, "ab") as file:
    run_marked(made, made.guarded(), file, Event(), stdin=made.greeting(), env=env)
"""


@pytest.fixture
def owner(tmp_path: Path, daemon: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a command that leaves a daemon and ignores SIGTERM."""
    text = f"trap '' TERM; {daemon}; sleep 500"
    made = spec(text)
    command = [sys.executable, "-c", OWNER, made.name, text, str(tmp_path / "log")]
    with subprocess.Popen(command, start_new_session=True) as process:
        yield process
        process.kill()
    kill_leftovers(made.name)


def test_nothing_is_left_if_the_owner_is_killed(
    tmp_path: Path, owner: subprocess.Popen[bytes]
) -> None:
    pid = pid_in(tmp_path / "daemon")
    below = psutil.Process(owner.pid).children(recursive=True)
    assert pid in {process.pid for process in below}
    os.kill(owner.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []


def test_nothing_is_left_if_the_reaper_is_killed(
    tmp_path: Path, owner: subprocess.Popen[bytes]
) -> None:
    daemon = pid_in(tmp_path / "daemon")
    (reaper,) = psutil.Process(owner.pid).children()
    assert "reaper.py" in " ".join(reaper.cmdline())
    below = reaper.children(recursive=True)
    reaper.kill()
    assert owner.wait(timeout=60) == 0
    # The daemon without a mark and without a parent is out of reach after this.
    _, alive = psutil.wait_procs([p for p in below if p.pid != daemon], timeout=60)
    assert alive == []
    os.kill(daemon, signal.SIGKILL)


def test_what_a_killed_attempt_left_is_found_below_its_mark(tmp_path: Path, daemon: str) -> None:
    made = spec("")
    env = {**os.environ, MARK: made.name}
    with subprocess.Popen(["sh", "-c", f"env -u {MARK} sleep 500; :"], env=env) as left:
        eventually(lambda: psutil.Process(left.pid).children(), "no child")
        (child,) = psutil.Process(left.pid).children()
        kill_leftovers(made.name)
        assert left.wait(timeout=60) == -9
        child.wait(timeout=60)


# --- shared memory ------------------------------------------------------------------------

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
