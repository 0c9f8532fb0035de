"""Whether, how and for how long a harness of this machine is asked for its tasks."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import IO, Any

import pytest

from snakeval.dag.harness_tasks import HarnessTasks
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses.lm_eval_tasks import MARK
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from snakeval.runtimes.spec import ContainerSpec
from support.configs import MODEL, config
from support.limits import HUNG


class Engine:
    """A runtime that prints a text, or waits for its stop."""

    host = "127.0.0.1"

    def __init__(self, name: str, text: str | None, *, has: bool = True) -> None:
        self.name, self.isolated = name, name != "process"
        self.text, self.has_all = text, has
        self.specs: list[ContainerSpec] = []

    def has(self, spec: ContainerSpec) -> bool:
        return self.has_all

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        self.specs.append(spec)
        if self.text is None:
            assert stop.wait(HUNG)
            return Outcome(143)
        log.write(self.text.encode())
        return Outcome(0)

    def chosen(self, wanted: str, image: str, installable: bool) -> Any:
        return self, "runtime"


def evaluation(directory: Path, **benchmark: Any) -> Evaluation:
    own = {"harness": "lm-eval", "task": "my_sums", **benchmark}
    (only,) = expand(config(directory, {"models": {"m": MODEL}, "benchmarks": {"b": own}}))
    return only


TASKS = f'a line of its log\n{MARK}["sums", "words"]\n'


def test_a_harness_is_asked_once_for_all_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    engine = Engine("docker", TASKS)
    tasks = HarnessTasks(5, engine.chosen)
    for more in ({}, {"task": "other"}, {"files": "mine"}):
        assert tasks.of(evaluation(tmp_path, **more)) == {"sums", "words"}
    (spec,) = engine.specs
    assert spec.argv[:3] == ("python3", "-I", "-c")
    assert (spec.mounts, spec.secrets, spec.env) == ((), {}, {"HOME": "/tmp"})
    assert tasks.of(evaluation(tmp_path, image="mine:1")) == {"sums", "words"}
    assert [spec.image == "mine:1" for spec in engine.specs] == [False, True]


def test_an_environment_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret")
    engine = Engine("process", TASKS)
    assert HarnessTasks(5, engine.chosen).of(evaluation(tmp_path)) == {"sums", "words"}
    (spec,) = engine.specs
    assert spec.requirements
    assert spec.environ is not None
    assert "MY_API_KEY" not in spec.environ


def test_a_harness_that_cannot_be_asked_has_no_names(tmp_path: Path) -> None:
    one = evaluation(tmp_path)
    absent = Engine("docker", TASKS, has=False)
    assert not HarnessTasks(5, absent.chosen).of(one)
    assert not HarnessTasks(5, Engine("pyxis", TASKS).chosen).of(one)
    assert not HarnessTasks(0.5, Engine("docker", TASKS).chosen).of(one)
    for text in ("Traceback", f"{MARK}[", f"{MARK}{{}}"):
        engine = Engine("docker", text)
        assert not HarnessTasks(5, engine.chosen).of(one)
        assert len(engine.specs) == 1

    def none(wanted: str, image: str, installable: bool) -> Any:
        raise EvaluationError("no Docker engine answers")

    assert not HarnessTasks(5, none).of(one)


def test_a_harness_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    times = iter([0.0, 0.0, 4.99])
    engine = Engine("docker", None)
    assert not HarnessTasks(5, engine.chosen, lambda: next(times)).of(evaluation(tmp_path))
    assert len(engine.specs) == 1
