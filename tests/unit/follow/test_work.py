"""What is left to do is in the records of the run, and which heads work is in its notes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.config.load import Selection, load
from snakeval.errors import ConfigError
from snakeval.follow.work import RunWork, open_run
from snakeval.run.heads import announce, enter, followers, heads, leave
from support.configs import MODEL, write
from support.limits import HUNG
from support.made import begin
from support.stored import finish
from support.training import Training

BENCHMARK = {
    "harness": "generic",
    "command": "true",
    "metrics": {"file": "f.json", "values": {"v": "v"}},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(place: Path, argv: Sequence[str] = ("true",), **keys: Any) -> tuple[RunWork, Config]:
    data = {"runtime": "process", "models": {"m": MODEL, "n": MODEL}, "benchmarks": {}}
    data["benchmarks"] = {"a": BENCHMARK, "b": BENCHMARK}
    file = write(place, data)
    config, selection, _ = load([file])
    run = open_run(config, None, [file])

    def command(run: str, model: str) -> tuple[Sequence[str], Mapping[str, Any]]:
        return [*argv], {"run": run, "models": model}

    return RunWork(run, file, [file], selection, command, **keys), config


def test_run_starts_before_any_checkpoint_and_is_found_again(place: Path) -> None:
    work, config = opened(place)
    assert work.run.directory.was_started
    assert work.run.directory.plan() == ()
    assert open_run(config, None, work.files).id == work.run.id
    assert not list(Path(config.output_dir).glob(".starting-*"))


def test_model_is_unfinished_until_each_evaluation_has_a_record(place: Path) -> None:
    work, config = opened(place)
    assert set(work.unfinished(config, ["m", "n"])) == {"m", "n"}
    invocation = work._invocation(config, ["m", "n"])
    for (model, benchmark), evaluation in invocation.selected.items():
        if model == "m" or benchmark == "a":
            finish(evaluation, work.run.directory.evaluation(evaluation.id))
    assert set(work.unfinished(config, ["m", "n"])) == {"m", "n"}, "the plan has no model yet"
    work.run.directory.write_plan(invocation.planned)
    assert set(work.unfinished(config, ["m", "n"])) == {"n"}


def test_reason_of_a_failed_evaluation_is_known(place: Path) -> None:
    work, config = opened(place)
    invocation = work._invocation(config, ["m"])
    work.run.directory.write_plan(invocation.planned)
    assert work.why_failed("m") == ""
    directory = work.run.directory.evaluation("m/b")
    begin(directory, invocation.selected["m", "b"].fingerprint)
    directory.fail("HTTP 401")
    assert (work.why_failed("m"), work.why_failed("n")) == ("b: HTTP 401", "")


def test_problem_of_one_model_hides_no_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, config = opened(place)
    work.run.directory.write_plan(work._invocation(config, ["m"]).planned)
    for evaluation in work._invocation(config, ["m"]).selected.values():
        finish(evaluation, work.run.directory.evaluation(evaluation.id))
    whole = RunWork._left

    def left(self: RunWork, config: Config, models: Sequence[str]) -> set[str]:
        if "n" in models:
            raise ConfigError("a problem of n")
        return whole(self, config, models)

    monkeypatch.setattr(RunWork, "_left", left)
    assert set(work.unfinished(config, ["m", "n"])) == {"n"}


def test_head_is_known_before_it_notes_itself_and_outlives_the_follower(place: Path) -> None:
    wait = "import sys, time; print('started', flush=True); time.sleep(1800)"
    work, config = opened(place, (sys.executable, "-S", "-c", wait))
    head = work.start(config, ["m"])
    try:
        assert os.getsid(head.pid) == head.pid
        (noted,) = heads(work.run.directory)
        assert (noted.pid, noted.models, noted.lives) == (head.pid, ("m",), True)
        assert work.others([head.pid]) == []
        assert work.others([]) == [frozenset({"m"})]
        assert head.poll() is None
        head.interrupt()
        assert head.process.wait(HUNG) == -signal.SIGINT
        assert work.others([]) == []
    finally:
        head.process.kill()


def test_check_that_fails_starts_nothing(place: Path) -> None:
    def check(invocation: object) -> None:
        raise ConfigError("$KEY is not set")

    work, config = opened(place, check=check)
    with pytest.raises(ConfigError, match="KEY"):
        work.start(config, ["m"])
    assert heads(work.run.directory) == []


def test_follower_is_no_head(place: Path) -> None:
    work, _ = opened(place)
    enter(work.run.directory, ["snakeval", "follow"], follows=True)
    assert heads(work.run.directory) == []
    assert [each.pid for each in followers(work.run.directory)] == [os.getpid()]
    leave(work.run.directory)
    announce(work.run.directory, os.getpid(), ["snakemake"], ["m"])
    assert followers(work.run.directory) == []
    assert [each.models for each in heads(work.run.directory)] == [("m",)]


def test_checkpoint_that_disappears_while_it_waits_is_lost_for_the_next_follower(
    place: Path,
) -> None:
    train = Training(place)
    train.write(s100="a", s200="b")
    config = train.config()
    run = open_run(config, None, [])
    work = RunWork(run, place / "c.yaml", [], Selection(), lambda run, models: ([], {}))
    work.note_waiting(config, ["run7@100", "run7@200", "m"], ())
    assert work.lost([]) == []
    work.note_waiting(config, ["run7@100"], ["run7@200"])
    shutil.rmtree(train.step(100))
    shutil.rmtree(train.step(200))
    assert work.lost([]) == ["run7@100"]
    assert work.lost(["run7@100"]) == []
    work.note_waiting(config, [], ())
    assert work.lost([]) == []
