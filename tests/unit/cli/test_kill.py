"""`snakeval kill`: ends what lives of a run, and nothing else. With processes that only wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from snakeval.ledger.start_time import start_time
from snakeval.run.heads import Head
from snakeval.watch.stop import Patience, stop
from support.limits import HUNG
from support.made import Made, gone, snakeval

Capture = pytest.CaptureFixture[str]

#: Harder acts follow soon; only the last one has the time that it needs on a busy machine.
IMPATIENT = Patience(grace=1, step=2, settle=60, look=0.05)

#: Waits for a signal; tells its name, and ends unless it is to be deaf to it.
_WAITS = """
import signal, sys
deaf = sys.argv[1:]
def told(number, frame):
    name = signal.Signals(number).name
    print(name, flush=True)
    if name not in deaf:
        sys.exit()
for number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, told)
print("waits", flush=True)
while True:
    signal.pause()
"""


class Waits:
    """A process that stands for a head, a job or a harness."""

    def __init__(self, *deaf: str, mark: str = "", ignores_ctrl_c: bool = False) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        self.process = subprocess.Popen(
            [sys.executable, "-c", _WAITS, *deaf],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SNAKEVAL_CONTAINER": mark},
            start_new_session=True,
            preexec_fn=ignore if ignores_ctrl_c else None,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "waits\n"
        self.pid = self.process.pid
        self.start = start_time(self.pid)

    @property
    def told(self) -> list[str]:
        """The signals that it got, once it has ended."""
        return self.process.communicate(timeout=HUNG)[0].split()

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def __enter__(self) -> Waits:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "b", "other")


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def head(run: Made, pid: int, start: str | None, host: str = os.uname().nodename) -> Head:
    found = Head(host, pid, start or "", "snakemake")
    path = run.directory.head_file(host, pid)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"host": host, "pid": pid, "start": start, "command": "snakemake"}))
    return found


def test_a_run_s_head_gets_what_ctrl_c_sends_and_its_jobs_get_sigterm(
    run: Made, processes: ExitStack, capsys: Capture
) -> None:
    snakemake, job = (processes.enter_context(Waits()) for _ in range(2))
    head(run, snakemake.pid, snakemake.start)
    run.held("b", pid=job.pid, start=job.start)
    said = snakeval(capsys, "kill", "01")
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"Ends Snakemake (process {snakemake.pid})",
        f"Ends the job of m/b (process {job.pid})",
        "Run 0123abcd: stopped, 0 of 2 done; `snakeval resume 0123abcd` does the rest",
    ]
    assert (snakemake.told, job.told) == (["SIGINT"], ["SIGTERM"])
    again = snakeval(capsys, "kill", "01")
    assert (again.exit_code, again.err) == (0, "")
    assert again.out.startswith("Run 0123abcd: nothing to stop, 0 of 2 done")


def test_a_head_that_ignores_ctrl_c_gets_sigterm(
    run: Made, processes: ExitStack, capsys: Capture
) -> None:
    snakemake = processes.enter_context(Waits(ignores_ctrl_c=True))
    head(run, snakemake.pid, snakemake.start)
    assert snakeval(capsys, "kill", "01").exit_code == 0
    assert snakemake.told == ["SIGTERM"]


def test_a_process_that_ignores_signals_gets_harder_ones_and_then_sigkill(
    run: Made, processes: ExitStack
) -> None:
    snakemake = processes.enter_context(Waits("SIGINT", "SIGTERM"))
    head(run, snakemake.pid, snakemake.start)
    stopped = stop(run.directory, None, lambda text: None, IMPATIENT)
    assert (stopped.left, stopped.was_any) == ([], True)
    assert snakemake.told == ["SIGINT", "SIGTERM"]
    assert snakemake.process.returncode == -signal.SIGKILL


def test_one_evaluation_is_stopped_and_the_others_continue(
    run: Made, processes: ExitStack, capsys: Capture
) -> None:
    snakemake, job, other = (processes.enter_context(Waits()) for _ in range(3))
    head(run, snakemake.pid, snakemake.start)
    run.held("b", pid=job.pid, start=job.start)
    run.held("other", pid=other.pid, start=other.start)
    said = snakeval(capsys, "kill", "01/m/b")
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"Ends the job of m/b (process {job.pid})",
        "0123abcd/m/b: interrupted; `snakeval resume 0123abcd` does the rest",
    ]
    assert job.told == ["SIGTERM"]
    assert snakemake.lives
    assert other.lives
    again = snakeval(capsys, "kill", "01/m/b")
    assert (again.exit_code, again.out) == (
        0,
        "0123abcd/m/b: nothing to stop, it is interrupted\n",
    )


def test_what_a_killed_job_left_running_is_found_by_its_mark(
    run: Made, processes: ExitStack
) -> None:
    mine = run["b"].container_name
    harness = processes.enter_context(Waits(mark=mine))
    stranger = processes.enter_context(Waits(mark="snakeval-0123456789abcdef"))
    told: list[str] = []
    # Its reaper could still end it; a signal follows at once, and then has the time that it needs.
    soon = Patience(grace=0.1, step=60, settle=60, look=0.05)
    stopped = stop(run.directory, None, told.append, soon)
    assert (stopped.left, told) == ([], [f"Ends process {harness.pid} of m/b"])
    assert harness.told == ["SIGTERM"]
    assert stranger.lives


def test_a_process_that_got_a_dead_job_s_pid_is_left_alone(
    run: Made, processes: ExitStack, capsys: Capture
) -> None:
    stranger = processes.enter_context(Waits())
    head(run, stranger.pid, "1")
    run.held("b", pid=stranger.pid, start="1")
    said = snakeval(capsys, "kill", "01")
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.startswith("Run 0123abcd: nothing to stop")
    assert stranger.lives


def test_a_head_on_another_host_is_listed_and_the_exit_code_is_1(
    run: Made, capsys: Capture
) -> None:
    elsewhere = head(run, 7, "1", host="elsewhere")
    said = snakeval(capsys, "kill", "01")
    assert said.exit_code == 1
    assert said.err == (
        "snakeval: left: Snakemake on elsewhere (process 7): give the same command there, or "
        f"remove {run.directory.head_file(elsewhere.host, elsewhere.pid)} if it is gone\n"
    )
    assert said.out == "Run 0123abcd: not all is stopped, 0 of 2 done\n"


def test_a_job_on_another_host_is_named_while_it_lives(run: Made, capsys: Capture) -> None:
    lease = run.held("b", host="elsewhere", pid=7)
    said = snakeval(capsys, "kill", "01/m/b")
    assert said.exit_code == 1
    assert "left: the job of m/b on elsewhere (process 7)" in said.err
    os.utime(lease, times=(0, 0))
    assert snakeval(capsys, "kill", "01/m/b").exit_code == 0


def test_a_silent_job_on_another_host_is_listed_as_perhaps_left(run: Made, capsys: Capture) -> None:
    run.heartbeat("b", 0.1)
    run.held("b", host="elsewhere", pid=7, age=20)
    said = snakeval(capsys, "kill", "01")
    assert said.exit_code == 1
    assert "left: m/b, perhaps: process 7 on elsewhere gave no sign of life for 2" in said.err


def test_an_engine_that_is_silent_hides_containers(
    run: Made, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    run.begun("b", runtime="docker")
    said = snakeval(capsys, "kill", "01")
    assert said.exit_code == 1
    name = run["b"].container_name
    assert said.err == f"snakeval: left: container {name} of m/b, perhaps: docker is silent\n"


def test_finished_evaluations_stay(run: Made, processes: ExitStack, capsys: Capture) -> None:
    run.done("other")
    job = processes.enter_context(Waits())
    run.held("b", pid=job.pid, start=job.start)
    assert "1 of 2 done" in snakeval(capsys, "kill", "01").out
    assert run["other"].completion(run.evaluations["other"].fingerprint)


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("01/m", "01/m: name one evaluation, 01/m/BENCHMARK, or the run, 0123abcd"),
        ("ff", "ff: no such run"),
        ("01/m/x", "m has no benchmark 'x'"),
        ("/nonexistent/a/b", "/nonexistent/a/b: does not exist; `snakeval ls runs`"),
        ("/proc/self", "/proc/self: is in no run's directory; `snakeval ls runs`"),
        ("/0123/m/b", "/0123/m/b: does not exist"),  # 0123 begins the run's id
        ("./0123/m/b", "./0123/m/b: does not exist"),
    ],
)
def test_an_argument_that_matches_nothing_fails(
    run: Made, capsys: Capture, which: str, told: str
) -> None:
    said = snakeval(capsys, "kill", which)
    assert (said.exit_code, said.out) == (2, "")
    assert told in said.err


def test_a_run_whose_head_and_jobs_were_killed_has_nothing_to_stop(
    run: Made, capsys: Capture
) -> None:
    head(run, gone(), "1")
    run.held("b", pid=gone(), start="1")
    said = snakeval(capsys, "kill", "01")
    assert (said.exit_code, said.err) == (0, "")
