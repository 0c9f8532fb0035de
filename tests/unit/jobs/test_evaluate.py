"""The job of one evaluation, in this process: a harness of a shell command, and its ends.

Long because each end of a job is one short test.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from snakeval.evaluation import trees
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.jobs import evaluate, run_harness, run_job
from snakeval.matrix.benchmark_files import files_digest, is_intact, take_snapshot
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config
from support.limits import HUNG

COUNTS = "echo ran >> {{ results }}/../../../../ran"
WRITES = f"{COUNTS}; echo '{{\"v\": 0.5}}' > {{{{ results }}}}/f"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


class Job:
    """The job of an evaluation of a run in a test's directory."""

    def __init__(self, tmp_path: Path, command: str = WRITES, **values: str) -> None:
        self.tmp_path = tmp_path
        self.directory = EvaluationDirectory(tmp_path / "run/m/b")
        self.redefine(command, **values)
        self.stop = Event()

    def redefine(self, command: str = WRITES, **values: str) -> None:
        benchmark = COMMAND | {
            "command": command,
            "metrics": {"file": "f", "values": values or {"v": "v"}},
        }
        rows = {"runtime": "process", "models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
        (made,) = expand(config(self.tmp_path, rows))
        transport = replace(made.transport, heartbeat=0.05, stale=0.5)
        self.evaluation: Evaluation = replace(made, transport=transport)

    def __call__(self) -> tuple[int, str]:
        """Run the job; return its exit code and the reason of its failure."""
        journal = Journal(self.directory.events)

        def work(stop: Event) -> int:
            self.stop = stop
            return evaluate._complete(self.evaluation, self.directory, journal, os.getpid(), stop)

        code = run_job.run(self.directory, journal, self.directory.log, 0, work)
        return code, self.directory.failure_reason()

    @property
    def ran(self) -> int:
        """How often the harness ran."""
        file = self.tmp_path / "run/m/ran"
        return len(file.read_text().splitlines()) if file.exists() else 0

    @property
    def value(self) -> float:
        done = self.directory.completion(self.evaluation.fingerprint)
        assert done is not None
        return done.metrics[0].value


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' process keeps its own signal handlers."""
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)


def test_a_job_publishes_what_its_harness_wrote_and_does_not_repeat_it(tmp_path: Path) -> None:
    job = Job(tmp_path)
    assert job() == (0, "")
    assert (job.value, job.ran) == (0.5, 1)
    assert sorted(path.name for path in job.directory.path.iterdir()) == [
        ".snakeval", "artifacts", "attempts", "evaluation.json", "logs",
    ]  # fmt: skip
    job.directory.published.unlink()
    assert job() == (0, "")
    assert job.ran == 1


@pytest.mark.parametrize("harm", ["removed", "truncated", "record", "private"])
def test_lost_artifacts_rerun_and_a_lost_record_does_not(tmp_path: Path, harm: str) -> None:
    job = Job(tmp_path)
    job()
    if harm == "removed":
        (job.directory.artifacts / "f").unlink()
    elif harm == "truncated":
        (job.directory.artifacts / "f").write_text("")
    else:
        job.directory.record(job.evaluation.fingerprint).write_text("")
        if harm == "record":
            job.directory.published.write_text("")
    assert job() == (0, "")
    assert job.ran == (2 if harm in ("removed", "truncated") else 1)
    assert job.value == 0.5


@pytest.mark.parametrize("place", [".snakeval", "artifacts", "attempts", "logs"])
def test_a_file_in_the_place_of_a_directory_moves_aside(tmp_path: Path, place: str) -> None:
    job = Job(tmp_path)
    job.directory.path.mkdir(parents=True)
    (job.directory.path / place).write_text("a user's file")
    assert job() == (0, "")
    assert (job.value, job.ran) == (0.5, 1)
    kept = job.directory.path / f"{place}.damaged-1"
    assert kept.read_text() == "a user's file"


@pytest.mark.parametrize("place", [".snakeval", "artifacts", "attempts", "logs"])
def test_a_link_to_itself_in_the_place_of_a_directory_moves_aside(
    tmp_path: Path, place: str
) -> None:
    job = Job(tmp_path)
    job.directory.path.mkdir(parents=True)
    (job.directory.path / place).symlink_to(place)
    assert job.directory.format_that_counts(job.evaluation) == job.evaluation
    assert not job.directory.defines(job.evaluation)
    assert job() == (0, "")
    assert (job.value, job.ran) == (0.5, 1)


LINKS = f"{WRITES}; ln -s {{{{ results }}}}/f {{{{ results }}}}/latest"


def test_an_absolute_link_into_the_results_starts_the_harness_once(tmp_path: Path) -> None:
    job = Job(tmp_path, LINKS)
    assert [job(), job()] == [(0, ""), (0, "")]
    assert (job.value, job.ran) == (0.5, 1)
    assert (job.directory.artifacts / "latest").read_text() == '{"v": 0.5}\n'


def test_results_that_are_not_complete_once_they_are_published_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "make_links_relative", lambda *arguments: None)
    code, reason = Job(tmp_path, LINKS)()
    assert code == 1
    assert "results changed during publication: artifacts/latest is gone" in reason


# --- reading ------------------------------------------------------------------------------------


def test_a_wrong_place_of_a_metric_never_runs_the_harness_again(tmp_path: Path) -> None:
    job = Job(tmp_path, v="results.v")
    for _ in range(2):
        code, reason = job()
        assert code == 1
        assert "has nothing at 'results.v'" in reason
        assert "correct `metrics`" in reason
    job.redefine(v="v")
    assert job() == (0, "")
    job.redefine(v="v", again="v")
    assert job() == (0, "")
    assert job.ran == 1


def test_a_harness_that_wrote_nothing_runs_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    job = Job(tmp_path, f"{COUNTS}; cp {state} {{{{ results }}}}/f || true")
    code, reason = job()
    assert (code, job.ran) == (1, 1)
    assert "ended without writing f" in reason
    state.write_text('{"v": 0.25}')
    assert job() == (0, "")
    assert (job.ran, job.value) == (2, 0.25)


@pytest.mark.parametrize(("wrote", "runs"), [("{", 2), ('{"v": NaN}', 2), ('{"w": 1}', 1)])
def test_a_harness_whose_results_are_no_results_runs_again(
    tmp_path: Path, wrote: str, runs: int
) -> None:
    """As after a full disk. A value that is missing in whole results is no such case."""
    score = tmp_path / "score"
    score.write_text(wrote)
    job = Job(tmp_path, f"{COUNTS}; cp {score} {{{{ results }}}}/f")
    assert job()[0] == 1
    score.write_text('{"v": 0.25}')
    assert job()[0] == (0 if runs == 2 else 1)
    assert job.ran == runs


def test_a_wrong_name_of_the_results_runs_the_harness_again_after_two_failures(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, WRITES.replace("/f", "/other"))
    assert [job()[0] for _ in range(2)] == [1, 1]
    assert job.ran == 1
    assert job()[0] == 1
    assert job.ran == 2


@pytest.mark.parametrize("step", ["_read", "publish"])
def test_a_job_that_dies_after_its_harness_costs_no_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = Job(tmp_path)

    def dies(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"snakeval.jobs.publication.{step}", dies)
        with pytest.raises(KeyboardInterrupt):
            job()
    assert job.ran == 1
    assert job() == (0, "")
    assert (job.ran, job.value) == (1, 0.5)


# --- lost servers and leases --------------------------------------------------------------------


@pytest.mark.parametrize(
    "ends", ["true", "[ $(wc -l < {{ results }}/../../../../ran) -gt 1 ] || exit 3"]
)
def test_results_of_a_harness_whose_server_was_lost_are_never_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """It has half of the right answers, and it would believe its own results later."""
    job = Job(
        tmp_path,
        COUNTS + "; [ -e {{ results }}/f ] ||"
        " echo '{\"v\": '$(cat {{ results }}/../../../../score)'}' > {{ results }}/f; " + ends,
    )
    transport = replace(job.evaluation.transport, ledger="off")
    job.evaluation = replace(job.evaluation, transport=transport)
    (tmp_path / "run/m").mkdir(parents=True)
    score = tmp_path / "run/m/score"
    score.write_text("0.4")
    real, broken = run_harness.serve_models, [True]

    class Servers(dict[str, Any]):
        is_stale = False

        def why_broken(self) -> str:
            return "the server was killed" if broken.pop() else ""

        def with_gpus(self, spec: Any, runtime: str) -> Any:
            return spec

    class Models:
        """A server that is lost while the harness ends with 0."""

        def __init__(self, *arguments: Any) -> None:
            self._ending, self._invalid = arguments[3], arguments[5]

        def __enter__(self) -> Any:
            lost = Event()

            def lose(reason: str) -> None:
                self._invalid()
                lost.set()
                score.write_text("1.0")
                broken.append(False)

            servers = Servers()
            servers["m"] = type("S", (), {"url": "http://x/v1/chat/completions", "version": "1"})()
            return SimpleNamespace(
                servers=servers,
                halt=self._ending,
                lost=lost,
                lose=lose,
                losses=0,
                leave=lambda: None,
            )

        def __exit__(self, *error: Any) -> None:
            pass

    monkeypatch.setattr(run_harness, "serve_models", Models)
    assert job() == (0, "")
    assert (job.value, job.ran) == (1.0, 2)
    assert real is not Models


def test_a_job_that_loses_its_lease_publishes_nothing_and_waits_for_the_other_one(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    waits = f"while [ ! -e {go} ]; do sleep 0.05; done"
    job = Job(tmp_path, f"{COUNTS}; {waits}; echo '{{\"v\": 0.1}}' > {{{{ results }}}}/f")
    other = json.dumps({"id": "x", "host": "elsewhere", "pid": 1, "start": "1", "beat": 0})
    ended: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: ended.append(job()))
    thread.start()
    wait_until(lambda: job.ran == 1)
    job.directory.lease.unlink()
    job.directory.lease.write_text(other)
    wait_until(lambda: _says(job, "waits for process 1 on elsewhere"))
    assert not job.directory.published.exists()
    go.touch()
    job.directory.lease.unlink()
    thread.join(HUNG)
    assert ended == [(0, "")]
    assert job.value == 0.1
    assert (job.ran, job.directory.read_attempt().number) == (2, 2)


def _says(job: Job, text: str) -> bool:
    return job.directory.events.exists() and text in job.directory.events.read_text()


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


# --- every end leaves a reason ------------------------------------------------------------------


@pytest.mark.parametrize("number", [
    errno.EIO, errno.ESTALE, errno.EROFS, errno.ENOSPC, errno.EACCES, errno.ENOTSUP, errno.EDQUOT,
])  # fmt: skip
def test_any_error_of_the_file_system_leaves_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    job = Job(tmp_path)
    real = Path.mkdir

    def fails(self: Path, *arguments: Any, **options: Any) -> None:
        if self.name == "artifacts":
            raise OSError(number, os.strerror(number), str(self))
        real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", fails)
        code, reason = job()
    assert code == 1
    assert "artifacts" in reason
    assert "Traceback" not in capsys.readouterr().err
    assert job() == (0, "")
    assert job.ran == 1


def test_what_cannot_be_read_is_not_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path)
    job()
    record = job.directory.record(job.evaluation.fingerprint)
    job.directory.published.unlink()
    read = os.open

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if os.fspath(path) == str(record):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    code, reason = job()
    assert (code, job.ran) == (1, 1)
    assert "cannot be read" in reason


def test_a_fault_of_snakeval_also_leaves_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(tmp_path)

    def wrong(*arguments: Any) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("snakeval.jobs.evaluate.run_harness", wrong)
    code, reason = job()
    assert (code, reason) == (1, "a fault of snakeval: KeyError: 'surprise'")


def test_a_harness_that_prints_nothing_has_no_line_of_snakeval_as_its_reason(
    tmp_path: Path,
) -> None:
    code, reason = Job(tmp_path, "exit 3")()
    assert (code, reason.split(";")[0]) == (1, "the harness exited with 3")
    assert "attempt 1" not in reason


def test_a_file_that_a_harness_adds_beside_its_files_is_not_there_for_the_next(
    tmp_path: Path,
) -> None:
    files = tmp_path / "task"
    (files / "data").mkdir(parents=True)
    (files / "data/question").write_text("1")
    snapshot = tmp_path / "run/files" / files_digest(files)[:32]
    take_snapshot(files, files_digest(files), snapshot)
    counts = "n=$(ls . data | wc -l); echo 2 > data/question; touch data/more ./more"
    job = Job(tmp_path, f"{counts}; echo '{{\"v\": '$n'}}' > {{{{ results }}}}/f")
    transport = replace(job.evaluation.transport, files=str(snapshot))
    job.evaluation = replace(job.evaluation, transport=transport)
    assert job() == (0, "")
    first = job.value
    (job.directory.artifacts / "f").unlink()
    assert job() == (0, "")
    assert job.value == first
    assert is_intact(snapshot, files_digest(files))
    assert not [*job.directory.attempts.glob("*/files-*")]


def test_the_job_finishes_an_evaluation_that_lost_one_of_many_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MANY", 5)
    monkeypatch.setattr(trees, "HEAD", 2)
    many = "mkdir {{ results }}/d; touch {{ results }}/d/1 {{ results }}/d/2 {{ results }}/d/3"
    job = Job(tmp_path, f"{many} {{{{ results }}}}/1 {{{{ results }}}}/2; {WRITES}")
    assert job() == (0, "")
    (job.directory.artifacts / "d/2").unlink()
    assert job() == (0, "")
    assert job.ran == 2
    assert (job.directory.artifacts / "d/2").exists()
    assert job() == (0, "")
    assert job.ran == 2
