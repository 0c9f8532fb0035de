"""A command decides what it does about each checkpoint, by its weights and by earlier heads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.load import Selection, load
from snakeval.errors import ConfigError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from snakeval.series.settle import LEFT_OUT_AS_GONE, settle
from snakeval.serving import weights
from support.configs import COMMAND, MODEL, write
from support.training import Training


@pytest.fixture
def train(tmp_path: Path) -> Training:
    return Training(tmp_path)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The evaluations, with their fingerprints, that have finished."""
    finished: set[str] = set()

    def completion(self: EvaluationDirectory, fingerprint: str) -> str | None:
        return fingerprint if f"{self.name} {fingerprint}" in finished else None

    monkeypatch.setattr(EvaluationDirectory, "completion", completion)
    return finished


def test_a_configuration_without_series_costs_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}})
    config = load([file])[0]
    found = settle(config, RunDirectory(tmp_path / "none"), starts=True)
    assert found.plans is config
    assert not found.seen


def test_a_start_hashes_only_what_it_chose(
    train: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.write(s100="a", s200="b", s300="c")
    hashed: list[str] = []
    real = weights.weigh

    def weigh(place: Path, **keys: Any) -> str:
        hashed.append(place.name)
        return real(place, **keys)

    monkeypatch.setattr(weights, "weigh", weigh)
    found = train.settle("run7@200")
    assert hashed == ["step-200"]
    assert found.planned == {"run7@200", "m"}
    assert list(found.seen) == ["run7@200"]
    assert {"run7@100", "run7@200", "run7@300"} <= found.config.models.keys(), "for `resume`"
    train.settle("m")
    train.settle("run7@300", starts=False)
    assert hashed == ["step-200"]
    assert train.waited == []


def test_equal_weights_are_one_evaluation_and_two_points(train: Training) -> None:
    train.write(s100="a", s200="b", s300="a")
    found, plan = train.start()
    assert found.same_as == {"run7@100": "run7@300"}, "the newest is the first to start"
    assert {name: item.same_as for name, item in plan.items()} == {
        **dict.fromkeys(("run7@300/b", "run7@300/c", "run7@200/b", "run7@200/c"), ""),
        **dict.fromkeys(("m/b", "m/c"), ""),
        **dict.fromkeys(("run7@100/b", "run7@100/c"), "run7@300"),
    }
    assert plan["run7@100/b"].fingerprint == plan["run7@300/b"].fingerprint
    assert plan["run7@100/b"].source == "run7@300/b"
    assert [item.same_as for item in train.run.plan()].count("run7@300") == 2
    chosen = found.with_stand_ins(Selection(models=("run7@100",)))
    assert chosen.models == ("run7@100", "run7@300")


def test_a_step_keeps_the_step_that_it_is_equal_to(train: Training) -> None:
    train.write(s200="a")
    train.start()
    train.write(s100="a", s300="a")
    assert train.start()[0].same_as == {"run7@300": "run7@200", "run7@100": "run7@200"}
    found, plan = train.start("run7@300")
    assert found.same_as == {"run7@300": "run7@200"}
    assert plan["run7@300/b"].same_as == plan["run7@100/b"].same_as == "run7@200"
    assert plan["run7@200/b"].same_as == ""


def test_an_overwritten_checkpoint_has_another_definition_and_other_steps_keep_theirs(
    train: Training,
) -> None:
    train.write(s100="a", s200="a", s300="a")
    before = train.start(order="oldest")[1]
    assert before["run7@300/b"].same_as == "run7@100"
    train.write(s100="new")
    found, plan = train.start(order="oldest")
    assert plan["run7@100/b"].fingerprint != before["run7@100/b"].fingerprint
    assert found.same_as == {"run7@300": "run7@200"}
    assert plan["run7@200/b"].fingerprint == before["run7@100/b"].fingerprint
    assert train.run.read_series()["run7@300"].same_as == "200"
    assert found.heirs == {"run7@200": "run7@100"}
    assert train.start(order="oldest")[0].heirs == {}


def test_steps_that_a_command_did_not_choose_keep_the_results_of_the_old_content(
    train: Training, done: set[str]
) -> None:
    train.write(s100="a", s200="a", s300="a")
    before = train.start(order="oldest")[1]
    done.add(f"run7@100/b {before['run7@100/b'].fingerprint}")
    train.write(s100="new")
    shutil.rmtree(train.step(300))
    shutil.rmtree(train.step(200))
    found, plan = train.start("run7@100", order="oldest")
    assert found.heirs == {"run7@200": "run7@100"}
    assert plan["run7@200/b"] == replace(before["run7@200/b"], same_as="")
    assert plan["run7@300/b"] == replace(before["run7@300/b"], same_as="run7@200")
    assert plan["run7@200/c"].left_out == LEFT_OUT_AS_GONE


def test_a_step_takes_over_the_results_that_another_one_had_of_its_weights(train: Training) -> None:
    train.write(s100="a")
    first = train.start()[0].seen["run7@100"].digest
    train.write(s100="b")
    train.start()
    assert train.run.read_series()["run7@100"].former == (first,)
    train.write(s200="a", s300="a")
    found, plan = train.start()
    assert found.same_as == {"run7@200": "run7@300"}
    assert found.heirs == {"run7@300": "run7@100"}
    assert plan["run7@300/b"].same_as == ""
    assert train.start()[0].heirs == {}
    train.write(s100="c")
    train.start()
    train.write(s100="b")
    found = train.start()[0]
    assert found.heirs == {}, "its own attempts have the result"
    assert len(found.seen["run7@100"].former) == 2


def test_the_time_of_a_content_is_that_of_its_first_head(train: Training) -> None:
    train.write(s100="a")
    config = train.config()
    for time in (10.0, 20.0):
        settle(config, train.run, starts=True, clock=time.__float__).note(train.run)
        assert train.run.read_series()["run7@100"].seen == 10.0
    train.write(s100="b")
    settle(train.config(), train.run, starts=True, clock=(30.0).__float__).note(train.run)
    assert train.run.read_series()["run7@100"].seen == 30.0


def test_finished_results_of_a_checkpoint_that_is_gone_stay(
    train: Training, done: set[str]
) -> None:
    train.write(s100="a", s200="b")
    plan = train.start()[1]
    done.add(f"run7@100/b {plan['run7@100/b'].fingerprint}")
    shutil.rmtree(train.step(100))
    found, plan = train.start()
    assert found.gone == ("run7@100",)
    seen = train.run.read_series()["run7@100"]
    assert (seen.gone, seen.missed > 0) == (True, True)
    train.start()
    assert train.run.read_series()["run7@100"].missed == seen.missed
    assert plan["run7@100/b"].fingerprint
    assert plan["run7@100/c"].left_out == LEFT_OUT_AS_GONE
    train.write(s100="a")
    found, plan = train.start()
    assert (found.gone, plan["run7@100/c"].left_out) == ((), "")
    assert not train.run.read_series()["run7@100"].gone


def test_the_weights_of_a_first_step_that_is_gone_are_loaded_from_an_equal_step(
    train: Training, done: set[str]
) -> None:
    train.write(s100="a")
    before = train.start()[1]
    train.write(s200="a")
    shutil.rmtree(train.step(100))
    found, plan = train.start()
    assert found.same_as == {"run7@200": "run7@100"}
    assert plan["run7@100/b"] == before["run7@100/b"], "its directory has what it has answered"
    assert plan["run7@200/b"].same_as == "run7@100"
    stand_in = found.config.models["run7@100"]
    assert stand_in.deployment is not None
    assert stand_in.deployment.checkpoint_path == str(train.step(200))
    assert stand_in.member is not None
    assert stand_in.member.name == "run7@100"
    again, same = train.start(config=found.config)
    assert (again.same_as, same) == (found.same_as, plan), "`resume` reads the saved configuration"
    assert train.run.read_series()["run7@100"].path == str(train.step(100))
    assert train.run.read_series()["run7@100"].gone


def test_rows_that_another_command_has_added_meanwhile_stay(train: Training) -> None:
    train.write(s100="a", s200="b")
    later = train.settle("run7@200")
    plan = train.start("run7@100")[1]
    mine = [Planned("run7@200", "b", "f" * 64), Planned("m", "b", "f" * 64)]
    merged = later.merged(mine, train.run)
    assert merged == (*mine, plan["run7@100/b"], plan["run7@100/c"])
    train.run.write_plan(merged)
    assert later.merged(merged, train.run) == merged


def test_steps_that_the_series_wants_no_more_leave_the_plan(train: Training) -> None:
    train.write(s100="a", s150="b")
    assert "run7@150/b" in train.start()[1]
    assert "run7@150/b" not in train.start(every=100)[1]
    assert "run7@150/b" not in train.start("run7@100", every=100)[1]


def test_rows_of_a_benchmark_that_left_the_configuration_leave_the_plan(train: Training) -> None:
    train.write(s100="a", s200="b")
    train.start()
    config = train.config()
    less = config.model_copy(update={"benchmarks": {"b": config.benchmarks["b"]}})
    assert "run7@100/c" not in train.start("run7@200", config=less)[1]


def test_a_start_without_a_checkpoint_is_an_error_with_the_reason(train: Training) -> None:
    train.write(s100="a", s200="b")
    config = train.config()
    shutil.rmtree(train.step(100))
    with pytest.raises(ConfigError, match=r"no checkpoint is left \(run7@100: gone \("):
        train.settle("run7@100", config=config)


def test_two_commands_do_not_both_evaluate_equal_weights(train: Training) -> None:
    train.write(s100="a", s200="a")
    one, other = train.settle("run7@100"), train.settle("run7@200")
    one.note(train.run)
    with pytest.raises(ConfigError, match="run7@200: another command evaluates equal weights as"):
        other.note(train.run)
    assert list(train.run.read_series()) == ["run7@100"]


def test_checkpoint_that_was_not_ready_for_a_slow_command_stays_in_the_plan(
    train: Training,
) -> None:
    train.write(s200="b")
    slow = train.settle("run7@200", every=100)
    for number, content in ((300, "c"), (450, "d")):
        train.write(**{f"s{number}": content})
        train.start(f"run7@{number}")
    merged = slow.merged((), train.run)
    assert {item.id for item in merged} == {"run7@300/b", "run7@300/c", "run7@450/b", "run7@450/c"}
    train.start("run7@300", every=100)
    assert "run7@450/b" not in {item.id for item in train.run.plan()}
