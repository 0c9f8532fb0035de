"""Whether, how and for how long a harness of this machine is asked for its tasks."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import IO, Any

from snakeval.dag.harness_tasks import HarnessTasks
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses.lm_eval_tasks import MARK
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from snakeval.runtimes.spec import ContainerSpec, Mount
from support.configs import MODEL, config


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
            assert stop.wait(30)
            return Outcome(143)
        log.write(self.text.encode())
        return Outcome(0)

    def chosen(self, wanted: str, image: str, installable: bool) -> Any:
        return self, "runtime"


def evaluation(directory: Path, **benchmark: Any) -> Evaluation:
    own = {"harness": "lm-eval", "task": "my_sums", **benchmark}
    (only,) = expand(config(directory, {"models": {"m": MODEL}, "benchmarks": {"b": own}}))
    return only


LACKS = f'a line of its log\n{MARK}{{"my_sums": "my_sum"}}\n'


def test_a_harness_is_asked_once_with_the_files_of_the_benchmark(tmp_path: Path) -> None:
    files = tmp_path / "mine"
    files.mkdir()
    one, engine = evaluation(tmp_path, files="mine"), Engine("docker", LACKS)
    tasks = HarnessTasks(5, engine.chosen)
    for _ in range(2):
        assert tasks.lacking(one, ["my_sums"]) == {"my_sums": "my_sum"}
    (spec,) = engine.specs
    assert spec.argv[-2:] == ("/snakeval/files", "my_sums")
    assert spec.mounts == (Mount(str(files), "/snakeval/files"),)
    assert not spec.secrets
    assert tasks.lacking(one, ["other"]) is not None
    assert len(engine.specs) == 2


def test_an_environment_gets_the_files_in_their_place_and_no_secret(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret")
    (tmp_path / "mine").mkdir()
    engine = Engine("process", LACKS)
    HarnessTasks(5, engine.chosen).lacking(evaluation(tmp_path, files="mine"), ["my_sums"])
    (spec,) = engine.specs
    assert spec.argv[-2:] == (str(tmp_path / "mine"), "my_sums")
    assert (spec.mounts, spec.requirements != "") == ((), True)
    assert "MY_API_KEY" not in (spec.environ or {"MY_API_KEY": ""})


def test_a_harness_that_cannot_be_asked_says_nothing(tmp_path: Path) -> None:
    one = evaluation(tmp_path)
    absent = Engine("docker", LACKS, has=False)
    assert HarnessTasks(5, absent.chosen).lacking(one, ["my_sums"]) is None
    assert HarnessTasks(5, Engine("pyxis", LACKS).chosen).lacking(one, ["my_sums"]) is None
    assert HarnessTasks(0.5, Engine("docker", LACKS).chosen).lacking(one, ["my_sums"]) is None
    for text in ("Traceback", f"{MARK}{{", f"{MARK}[]"):
        engine = Engine("docker", text)
        assert HarnessTasks(5, engine.chosen).lacking(one, ["my_sums"]) is None
        assert len(engine.specs) == 1

    def none(wanted: str, image: str, installable: bool) -> Any:
        raise EvaluationError("no Docker engine answers")

    assert HarnessTasks(5, none).lacking(one, ["my_sums"]) is None


def test_a_harness_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    times = iter([0.0, 0.0, 4.99])
    engine = Engine("docker", None)
    tasks = HarnessTasks(5, engine.chosen, lambda: next(times))
    assert tasks.lacking(evaluation(tmp_path), ["my_sums"]) is None
    assert len(engine.specs) == 1
