"""Runs that score the stored answers of another run again: what they define, have and say."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.dag.invocation import Invocation
from snakeval.dag.rescoring import Rescoring, differences
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric
from snakeval.matrix.ledger import idle_keys
from snakeval.run.directory import RunDirectory
from snakeval.run.pins import Pin, Pins
from support.configs import COMMAND
from support.invocations import invocation
from support.made import begin, completion
from support.stored import STORED as CONTENT
from support.stored import finish


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def finished(directory: Path, content: dict[str, Any] = CONTENT, **ledgers: str) -> Invocation:
    """A run; its evaluations are finished, except those of `ledgers` that say so."""
    made = invocation(directory, content)
    made.run.start()
    made.directory.write_plan(made.planned)
    made.facts.save()
    for each in made.everything:
        if (ledger := ledgers.get(each.benchmark, "on")) != "unfinished":
            finish(each, made.directory.evaluation(each.id), ledger=ledger)
    return made


def again(origin: Invocation, content: dict[str, Any] = CONTENT, **values: Any) -> Invocation:
    place = origin.directory.path.parent.parent
    return invocation(place, content, rescore=str(origin.directory.path), **values)


def test_it_is_a_new_run_of_the_same_definitions_that_asks_no_model(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    made = again(origin)
    assert made.run.id != origin.run.id
    assert [e.fingerprint for e in made.everything] == [e.fingerprint for e in origin.everything]
    assert {e.transport.asks(name) for e in made.everything for name in "mj"} == {False}
    assert {key for e in made.everything for key in idle_keys(e)} == {"MODEL_KEY", "JUDGE_KEY"}
    assert made.rescoring is not None
    assert [made.rescoring.changes(e) for e in made.everything] == [[], []]
    assert not made.directory.exists, "a plan writes nothing"


def test_a_judge_that_is_asked_again_is_the_only_one(tmp_path: Path) -> None:
    made = again(finished(tmp_path), judge="j")
    (one,) = made.everything
    assert one.benchmark == "c"
    assert (one.transport.asks("m"), one.transport.asks("j")) == (False, True)
    assert idle_keys(one) == {"MODEL_KEY"}
    assert [(o.benchmark, o.reason) for o in made.left_out] == [("b", "does not ask j")]


def test_with_permission_all_models_are_asked(tmp_path: Path) -> None:
    made = again(finished(tmp_path), ask=True)
    assert {e.transport.asks(name) for e in made.everything for name in "mj"} == {True}


def test_what_has_no_stored_answers_is_left_out_with_the_reason(tmp_path: Path) -> None:
    origin = finished(tmp_path, c="memory")
    (left_out,) = again(origin).left_out
    reason = f"stored no answers in run {origin.run.id}, since its ledger was memory"
    assert (left_out.benchmark, left_out.reason) == ("c", reason)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("off", "m/b stored no answers in run {}, since its ledger was off"),
        ("unfinished", "m/b is not finished in run {}"),
    ],
)
def test_a_run_without_stored_answers_says_why_in_a_sentence(
    tmp_path: Path, state: str, reason: str
) -> None:
    origin = finished(tmp_path, CONTENT | {"include": ["m/b"]}, b=state)
    with pytest.raises(ConfigError, match=r"^run \w+: nothing can be scored again: m/b ") as error:
        again(origin, CONTENT | {"include": ["m/b"]})
    assert str(error.value).endswith(reason.format(origin.run.id))


def test_journals_that_were_removed_are_missed(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    (origin.directory.evaluation("m/b").requests / "m" / "0001.journal").unlink()
    (left_out,) = again(origin).left_out
    assert left_out.reason == f"has no journal of requests in run {origin.run.id} any more"


def test_a_name_that_is_no_judge_of_the_run_is_an_error(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    with pytest.raises(ConfigError, match=r"--judge k: run \w+ asks no such model; it has j"):
        again(origin, judge="k")
    with pytest.raises(ConfigError, match="--config judge: is of a re-score; add rescore=RUN"):
        invocation(tmp_path, CONTENT, judge="j")


def started(made: Invocation) -> Rescoring:
    """Do to the run what a start does."""
    assert made.rescoring is not None
    made.rescoring.note(made.directory)
    made.run.start()
    made.rescoring.bring(made.directory, made.everything)
    return made.rescoring


def test_the_run_has_the_journals_except_those_of_the_judge(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    whole, judged = again(origin), again(origin, judge="j")
    started(whole)
    started(judged)
    for made, models in ((whole, {"m", "j"}), (judged, {"m"})):
        folder = made.directory.evaluation("m/c").requests
        assert {path.name for path in folder.iterdir()} == models
        assert (folder / "m" / "0001.journal").read_text() == "answers of m"


def test_journals_are_copied_if_links_are_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*of: object) -> None:
        raise OSError("links are impossible here")

    origin = finished(tmp_path)
    monkeypatch.setattr(os, "link", refused)
    made = again(origin)
    started(made)
    copy = made.directory.evaluation("m/b").requests / "m"
    assert [path.name for path in copy.glob("*.journal")] == ["0001.journal"]
    assert (copy / "0001.journal").stat().st_nlink == 1
    assert (copy / "0001.journal").read_text() == "answers of m"


def test_later_commands_at_the_run_need_no_switch(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    made = again(origin, judge="j")
    started(made)
    later = invocation(tmp_path, CONTENT, run=made.run.id)
    assert later.rescoring == made.rescoring
    assert [e.transport for e in later.everything] == [e.transport for e in made.everything]
    asking = invocation(tmp_path, CONTENT, run=made.run.id, ask=True)
    assert asking.everything[0].transport.asks("m")
    same = invocation(tmp_path, CONTENT, run=made.run.id, rescore=origin.run.id, judge="j")
    assert same.rescoring == made.rescoring


def test_a_run_is_of_one_origin_and_its_judges(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    made = again(origin)
    started(made)
    for other, problem in (
        ({"run": origin.run.id, "rescore": made.run.id}, "is no re-score; leave out run="),
        ({"run": made.run.id, "rescore": "ffff"}, f"scores {origin.run.id} again"),
        ({"run": made.run.id, "judge": "j"}, "asks no judge again; leave it out"),
    ):
        with pytest.raises(ConfigError, match=problem):
            invocation(tmp_path, CONTENT, **other)


def test_a_damaged_note_is_an_error_and_never_an_ordinary_run(tmp_path: Path) -> None:
    made = again(finished(tmp_path))
    started(made)
    made.directory.rescore.write_text(json.dumps({"origins": 1}))
    with pytest.raises(ConfigError, match=r"rescore.json: cannot be read \("):
        invocation(tmp_path, CONTENT, run=made.run.id)


def test_a_run_whose_answers_are_gone_before_it_started_says_so(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    made = again(origin)
    assert made.rescoring is not None
    made.rescoring.note(made.directory)
    origin.directory.path.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"has no journal of requests|was not part of this"):
        invocation(tmp_path, CONTENT, run=made.run.id)


def test_it_continues_with_its_own_links_if_the_first_run_is_gone(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    made = again(origin)
    started(made)
    for each in made.everything:
        made.directory.evaluation(each.id).define(each)
    origin.directory.path.rename(tmp_path / "elsewhere")
    later = invocation(tmp_path, CONTENT, run=made.run.id)
    assert later.rescoring is not None
    assert [e.fingerprint for e in later.everything] == [e.fingerprint for e in made.everything]
    assert {e.transport.asks(name) for e in later.everything for name in "mj"} == {False}
    later.rescoring.bring(later.directory, later.everything)
    journal = later.directory.evaluation("m/b").requests / "m/0001.journal"
    assert journal.read_text() == "answers of m"
    assert {later.rescoring.outcome(later.directory, e) for e in later.everything} == {
        "is not done"
    }
    for each in later.everything:
        finish_scores(later, each)
    assert {later.rescoring.outcome(later.directory, e) for e in later.everything} == {
        f"is gone from run {origin.run.id}"
    }


def finish_scores(made: Invocation, evaluation: Evaluation) -> None:
    """Complete an evaluation whose journals are there."""
    place = made.directory.evaluation(evaluation.id)
    begin(place, evaluation.fingerprint)
    place.complete(completion(evaluation, place))


def test_the_configuration_continues_its_own_run(tmp_path: Path) -> None:
    origin = finished(tmp_path)
    started(again(origin))
    assert invocation(tmp_path, CONTENT).run.id == origin.run.id


def test_a_run_of_a_deployed_model_deploys_only_a_judge_that_is_asked(tmp_path: Path) -> None:
    server = {"kind": "generic", "command": "serve --port {{ port }}", "runtime": "process"}
    content = CONTENT | {
        "models": {"m": {"deployment": server}},
        "auxiliary": {"j": {"deployment": server}},
    }
    origin = finished(tmp_path, content)
    assert set(origin.deployed) == {"m", "j"}
    assert again(origin, content).deployed == {}
    judged = again(origin, content, judge="j")
    assert set(judged.deployed) == {"j"}
    assert judged.everything[0].transport.servers == ("j",)
    assert set(again(origin, content, ask=True).deployed) == {"m", "j"}
    served = content | {"models": {"m": {"deployment": server | {"command": "other {{ port }}"}}}}
    (first, _), (then, _) = origin.everything, again(origin, served).everything
    assert then.identity.deployment == first.identity.deployment, "the answers are of that server"


def test_pins_are_those_of_the_first_run(tmp_path: Path) -> None:
    content = CONTENT | {"benchmarks": {"b": COMMAND | {"image": "host/it:1"}}, "runtime": "docker"}
    made = invocation(tmp_path, content)
    made.run.start()
    pin = Pin("host/it:1", f"sha256:{'0' * 64}")
    made.directory.write_pins(Pins({"host/it:1": pin}, {}).to_json())
    origin = finished(tmp_path, content)
    assert origin.run == made.run
    then = again(origin, content)
    assert then.everything[0].identity.image_digest == pin.digest
    assert not then.facts.new_pins
    changed = CONTENT | {"benchmarks": {"b": COMMAND | {"image": "host/it:2"}}, "runtime": "docker"}
    assert again(origin, changed).everything[0].identity.image_digest == ""


# --- scores -------------------------------------------------------------------------------


def test_scores_are_compared_to_the_digit(tmp_path: Path) -> None:
    origin = finished(tmp_path, CONTENT | {"include": ["m/b"]})
    made = again(origin, CONTENT | {"include": ["m/b"]})
    rescoring, (one,) = started(made), made.everything
    assert rescoring.outcome(made.directory, one) == "is not done"
    finish(one, RunDirectory(tmp_path / "equal").evaluation("m/b"))
    equal = rescoring.outcome(RunDirectory(tmp_path / "equal"), one)
    assert equal == "the scores are equal to the digit (the same definition)"
    changed = replace(one, identity=replace(one.identity, image="other:1"))
    place = RunDirectory(tmp_path / "other").evaluation("m/b")
    finish(changed, place, Metric("b", "v", 0.5, stderr=0.1), Metric("b", "w", 1.0))
    assert rescoring.outcome(RunDirectory(tmp_path / "other"), changed) == (
        "the scores differ: b v 0.25 → 0.5; b w none → 1.0 "
        "(changed: image: 'harness:1' → 'other:1')"
    )


def test_the_last_digit_the_error_and_the_number_of_samples_count(tmp_path: Path) -> None:
    (one, _) = invocation(tmp_path, CONTENT).everything
    place = RunDirectory(tmp_path / "r").evaluation("m/b")
    place.artifacts.mkdir(parents=True)
    begin_with = completion(one, place, (Metric("b", "v", 0.1, stderr=0.1, n=3),))
    for metric, found in (
        (Metric("b", "v", 0.1, stderr=0.1, n=3), []),
        (Metric("b", "v", 0.1 + 2**-56, stderr=0.1, n=3), ["b v 0.1 → 0.10000000000000002"]),
        (Metric("b", "v", 0.1, stderr=0.2, n=4), ["b v stderr 0.1 → 0.2, n 3 → 4"]),
    ):
        assert differences(begin_with, replace(begin_with, metrics=(metric,))) == found
