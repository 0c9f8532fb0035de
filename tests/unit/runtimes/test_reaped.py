"""Nothing of a command is left, whatever it starts and whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
from support.limits import HUNG
from support.machine import eventually

#: Starts a daemon that leaves its session, its parent and its environment.
_DAEMON = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open(sys.argv[1] + '.draft', 'w').write(str(os.getpid()))\n"
    "        os.rename(sys.argv[1] + '.draft', sys.argv[1])\n"
    "        os.execve(sys.executable, ['daemon', '-c', 'import time; time.sleep(1800)'], {})\n"
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


def run(text: str, directory: Path, *, stop: Event | None = None, grace: float = HUNG) -> int:
    with (directory / "log").open("ab") as log:
        return run_reaped(["sh", "-c", text], log, stop or Event(), grace=grace, stdin=b"")


def test_a_daemon_ends_with_the_command_that_left_it(tmp_path: Path, daemon: str) -> None:
    assert run(f"{daemon}; exit 7", tmp_path) == 7
    assert not process_lives(pid_in(tmp_path / "daemon"))


def test_what_waits_to_start_a_command_shows_its_environment_and_no_secret(tmp_path: Path) -> None:
    shown = 'tr "\\0" "\\n" < /proc/$PPID/environ | grep -E "^(VIRTUAL_ENV|KEY)="'
    env = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": "/envs/1", MARK: "m", "KEY": "secret"}
    with (tmp_path / "log").open("ab") as log:
        run_reaped(["sh", "-c", shown], log, Event(), grace=HUNG, stdin=b"", env=env)
    assert (tmp_path / "log").read_text() == "VIRTUAL_ENV=/envs/1\n"


def test_the_command_has_its_input_output_environment_and_exit_code(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        code = run_reaped(
            ["sh", "-c", 'read -r line; echo "$line $WORD"; kill -9 $$'],
            log,
            Event(),
            grace=HUNG,
            stdin=b"hello\n",
            env={"PATH": os.environ["PATH"], "WORD": "it's\nhere"},
        )
    assert code == 137
    assert (tmp_path / "log").read_text() == "hello it's\nhere\n"


def test_a_command_that_cannot_start_is_not_found(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        code = run_reaped(["no-such"], log, Event(), grace=HUNG, stdin=b"")
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
    text = f"trap '' TERM; {daemon}; sleep 1800"
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
    _, alive = psutil.wait_procs(below, timeout=HUNG)
    assert alive == []


def test_nothing_is_left_if_the_reaper_is_killed(
    tmp_path: Path, owner: subprocess.Popen[bytes]
) -> None:
    daemon = pid_in(tmp_path / "daemon")
    (reaper,) = psutil.Process(owner.pid).children()
    assert "reaper.py" in " ".join(reaper.cmdline())
    below = reaper.children(recursive=True)
    reaper.kill()
    assert owner.wait(timeout=HUNG) == 0
    # The daemon without a mark and without a parent is out of reach after this.
    _, alive = psutil.wait_procs([p for p in below if p.pid != daemon], timeout=HUNG)
    assert alive == []
    os.kill(daemon, signal.SIGKILL)


@pytest.mark.parametrize("at_the_end", ["", "trap '' TERM; "], ids=["ends", "ignores the end"])
def test_nothing_is_left_if_the_owner_and_the_reaper_are_killed_together(
    tmp_path: Path, at_the_end: str
) -> None:
    left = (
        f"setsid sh -c 'echo $$ > {tmp_path}/draft; mv {tmp_path}/draft {tmp_path}/left; sleep 600'"
    )
    text = f"{at_the_end}{left} & sleep 600"
    made = spec(text)
    command = [sys.executable, "-c", OWNER, made.name, text, str(tmp_path / "log")]
    with subprocess.Popen(command, start_new_session=True) as owner:
        pid_in(tmp_path / "left")
        (reaper,) = psutil.Process(owner.pid).children()
        below = reaper.children(recursive=True)
        for process in (psutil.Process(owner.pid), reaper):
            process.suspend()
        reaper.kill()
        owner.kill()
    try:
        assert pid_in(tmp_path / "left") in {process.pid for process in below}
        _, alive = psutil.wait_procs(below, timeout=HUNG)
        assert alive == []
    finally:
        kill_leftovers(made.name)


def test_what_a_killed_attempt_left_is_found_below_its_mark(tmp_path: Path, daemon: str) -> None:
    made = spec("")
    env = {**os.environ, MARK: made.name}
    with subprocess.Popen(["sh", "-c", f"env -u {MARK} sleep 1800; :"], env=env) as left:
        eventually(lambda: psutil.Process(left.pid).children(), "no child")
        (child,) = psutil.Process(left.pid).children()
        kill_leftovers(made.name)
        assert left.wait(timeout=HUNG) == -9
        child.wait(timeout=HUNG)
