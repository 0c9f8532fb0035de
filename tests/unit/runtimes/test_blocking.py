"""Commands that may take long end with their owner, and report what they print."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import psutil
import pytest

from snakeval.errors import EvaluationError, Interrupted
from snakeval.processes import process_lives
from snakeval.runtimes import blocking
from snakeval.runtimes.marked import MARK
from support.limits import HUNG
from support.machine import eventually


def test_a_command_has_its_exit_code_and_its_lines() -> None:
    said: list[str] = []
    ended = blocking.run(["sh", "-c", "printf '1\\r2\\n\\n'; echo 3 >&2; exit 7"], said.append)
    assert (ended.code, ended.lines, ended.last_line) == (7, ("1", "2", "3"), "3")
    assert said == ["1", "2", "3"]


def test_a_command_has_no_input_and_its_mark() -> None:
    ended = blocking.run(["sh", "-c", f'cat; echo "[${MARK}]"'], mark="snakeval-x")
    assert ended.lines == ("[snakeval-x]",)


def stopped_when(begun: Callable[[], object], work: Callable[[], object]) -> None:
    """Stop *work* as soon as it has *begun*; it ends by nothing else."""
    stop = Event()

    def wait() -> None:
        eventually(begun, "it does not begin")
        stop.set()

    threading.Thread(target=wait).start()
    with blocking.ended_by(stop), pytest.raises(Interrupted):
        work()


def test_a_stop_ends_a_command_that_ignores_it_and_its_daemon(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    daemon = f"setsid sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 1800'"
    text = f"trap '' TERM; {daemon} & sleep 1800; :"
    stopped_when(pid.exists, lambda: blocking.run(["sh", "-c", text]))
    assert not process_lives(int(pid.read_text()))


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    touch = ["touch", str(tmp_path / "started")]
    stop = Event()
    stop.set()
    for start in (
        lambda: blocking.run(touch),
        lambda: blocking.answer(touch, seconds=60),
        lambda: blocking.call((tmp_path / "started").touch),
    ):
        with blocking.ended_by(stop), pytest.raises(Interrupted):
            start()
    assert not (tmp_path / "started").exists()


def test_a_stop_of_one_thread_is_none_of_another() -> None:
    stop, codes = Event(), []
    stop.set()
    with blocking.ended_by(stop):
        thread = threading.Thread(target=lambda: codes.append(blocking.run(["true"]).code))
        thread.start()
        thread.join()
    assert codes == [0]


def test_what_cleans_up_runs_although_its_owner_was_stopped() -> None:
    stop = Event()
    stop.set()
    with blocking.ended_by(stop):
        answer = blocking.answer(["echo", "cleaned"], seconds=10, in_any_case=True)
    assert (answer.code, answer.output) == (0, "cleaned\n")


def test_an_answer_is_apart_from_errors() -> None:
    text = "echo '{}'; echo warning >&2; echo 'it is broken' >&2; exit 3"
    answer = blocking.answer(["sh", "-c", text], seconds=10)
    assert (answer.code, answer.output, answer.problem) == (3, "{}\n", "it is broken")


def test_a_command_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"^sleep does not end within 1 s$"):
        blocking.answer(["sleep", "1800"], seconds=1)


def test_a_useless_command_ends() -> None:
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        blocking.run(["sleep", "1800"], unless=lambda: time.monotonic() > begun + 0.5)


def test_a_call_that_hangs_delays_no_stop() -> None:
    begun, hang = Event(), Event()
    try:
        stopped_when(begun.is_set, lambda: blocking.call(lambda: (begun.set(), hang.wait())))
    finally:
        hang.set()


def test_a_call_returns_or_raises_what_the_function_does() -> None:
    with blocking.ended_by(Event()):
        assert blocking.call(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            blocking.call(lambda: 1 // 0)


@pytest.mark.parametrize("has_daemons", [False, True])
def test_a_command_dies_with_a_killed_owner(tmp_path: Path, has_daemons: bool) -> None:
    text = f"sh -c 'echo $$ > {tmp_path}/pid; sleep 1800' & wait"
    call = f"blocking.run(['sh', '-c', {text!r}], has_daemons={has_daemons})"
    command = [sys.executable, "-c", f"from snakeval.runtimes import blocking; {call}"]
    with subprocess.Popen(command) as owner:
        eventually((tmp_path / "pid").exists, "it does not start")
        eventually((tmp_path / "pid").read_text, "it has no pid")
        owner.kill()
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not process_lives(pid), "it outlives its owner")


def test_a_command_dies_with_its_owner_and_its_reaper(tmp_path: Path) -> None:
    text = f"setsid sh -c 'echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 1800'"
    call = f"blocking.run(['sh', '-c', {text + ' & wait'!r}])"
    command = [sys.executable, "-c", f"from snakeval.runtimes import blocking; {call}"]
    with subprocess.Popen(command) as owner:
        eventually((tmp_path / "pid").exists, "it does not start")
        (reaper,) = psutil.Process(owner.pid).children()
        left = reaper.children(recursive=True)
        for process in (psutil.Process(owner.pid), reaper):
            process.suspend()
        reaper.kill()
        owner.kill()
    assert int((tmp_path / "pid").read_text()) in {process.pid for process in left}
    _, alive = psutil.wait_procs(left, timeout=HUNG)
    assert alive == []


@pytest.mark.parametrize("has_daemons", [False, True])
def test_only_the_daemons_that_others_use_stay(tmp_path: Path, has_daemons: bool) -> None:
    text = (
        f"cd {tmp_path}; setsid sh -c 'echo $$ > new; mv new pid; exec sleep 1800' &"
        f"cd {tmp_path}; while [ ! -e pid ]; do sleep 0.05; done; exit 3"
    )
    ended = blocking.run(["sh", "-c", text], has_daemons=has_daemons)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert (ended.code, process_lives(pid)) == (3, has_daemons)
    finally:
        if has_daemons:
            os.kill(pid, 9)
