"""Which jobs run again, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snakemake.io import is_flagged

from snakeval.dag.invocation import Invocation
from snakeval.dag.reruns import Reruns
from snakeval.executors.lepton.notes import Noted, Notes
from support.configs import COMMAND
from support.invocations import TWO, Workflow, invocation, matrix, reruns, serving, wildcards
from support.made import begin, completion

CHANGED = TWO | {
    "benchmarks": TWO["benchmarks"] | {"b": COMMAND | {"params": {"temperature": 0.5}}}
}


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def finish(opened: Invocation, *ids: str) -> Invocation:
    """Start a run and complete evaluations of it; return it as given."""
    opened.run.start()
    opened.directory.write_plan(opened.planned)
    for evaluation in opened.everything:
        if evaluation.id in ids:
            files = opened.directory.evaluation(evaluation.id)
            begin(files, evaluation.fingerprint)
            (files.artifacts / "f").write_text("1")
            files.complete(completion(evaluation, files))
    return opened


def inputs(found: object, model: str, benchmark: str) -> Any:
    assert isinstance(found, Callable)
    return found(wildcards(model, benchmark))


def test_evaluations_without_a_record_are_missing(tmp_path: Path) -> None:
    opened = finish(invocation(tmp_path), "m/b", "n/c")
    found, forced = reruns(opened)
    assert [
        Path(r).parent.relative_to(opened.directory.path).as_posix() for r in found.missing()
    ] == [
        "m/c",
        "n/b",
    ]
    assert [e.id for e in opened.everything if found.is_missing(e)] == ["m/c", "n/b"]
    assert (found.stale, found.stale_evaluation, forced) == ({}, [], set())


def test_an_evaluation_of_another_definition_is_forced_with_its_reason(tmp_path: Path) -> None:
    finish(invocation(tmp_path), "m/b", "m/c")
    opened = invocation(tmp_path, CHANGED)
    found, forced = reruns(opened)
    (evaluation,) = found.changed
    record = opened.record(evaluation)
    assert (evaluation.id, found.is_missing(evaluation)) == ("m/b", True)
    assert found.why_stale(evaluation) == "params.temperature: None → 0.5"
    for benchmark in "cb":
        assert forced == set()
        assert inputs(found.stale_evaluation, "m", benchmark) == []
    assert forced == {record}


def test_other_metrics_of_the_same_results_are_forced_and_only_read_again(tmp_path: Path) -> None:
    finish(invocation(tmp_path), "m/b", "m/c")
    metrics = {"file": "f", "values": {"w": "w"}}
    changed = TWO | {"benchmarks": TWO["benchmarks"] | {"b": COMMAND | {"metrics": metrics}}}
    found, _ = reruns(invocation(tmp_path, changed))
    (evaluation,) = found.changed
    assert evaluation.id == "m/b"
    assert found.why_stale(evaluation) == "only its metrics are read again"


def test_an_evaluation_whose_health_fails_by_a_changed_rule_is_forced(tmp_path: Path) -> None:
    opened = finish(invocation(tmp_path), "m/b", "m/c", "n/b", "n/c")
    counts = {"choices": 10, "cut": 1}
    for evaluation in opened.everything:
        files = opened.directory.evaluation(evaluation.id)
        done = files.completion(evaluation.fingerprint)
        assert done is not None
        files.complete(replace(done, health={"models": {"m": counts}}))
    assert reruns(invocation(tmp_path))[0].changed == []
    found, _ = reruns(invocation(tmp_path, TWO | {"health": {"cut": "fail"}}))
    assert len(found.changed) == 4
    assert found.why_stale(found.changed[0]).startswith("1 of 10 answers were cut")


def test_a_stale_record_that_cannot_be_read_is_its_own_reason(tmp_path: Path) -> None:
    finish(invocation(tmp_path), "m/b")
    found, _ = reruns(invocation(tmp_path, CHANGED))
    (evaluation,) = found.changed
    (record,) = map(Path, found.stale)
    record.write_text("damaged")
    assert found.why_stale(evaluation) == "its record cannot be read"
    again, _ = reruns(invocation(tmp_path, CHANGED))
    assert again.why_stale(evaluation).startswith("evaluation.json is damaged")


@pytest.mark.parametrize("harm", ["removed", "truncated", "record"])
def test_an_evaluation_that_lost_its_artifacts_or_its_record_is_forced(
    tmp_path: Path, harm: str
) -> None:
    opened = finish(invocation(tmp_path), "m/b", "m/c", "n/b", "n/c")
    evaluation = opened.everything[0]
    files = opened.directory.evaluation(evaluation.id)
    if harm == "removed":
        (files.artifacts / "f").unlink()
    elif harm == "truncated":
        (files.artifacts / "f").write_text("")
    else:
        files.published.write_text("")
        files.record(evaluation.fingerprint).write_text("")
    found, forced = reruns(invocation(tmp_path))
    assert found.is_missing(evaluation)
    assert inputs(found.stale_evaluation, evaluation.model, evaluation.benchmark) == []
    assert forced == {opened.record(evaluation)}


def test_the_snakemake_of_a_job_finds_nothing_stale(tmp_path: Path) -> None:
    finish(invocation(tmp_path), "m/b")
    assert len(reruns(invocation(tmp_path, CHANGED))[0].stale) == 1
    assert reruns(invocation(tmp_path, CHANGED), head=False)[0].stale == {}


def test_servers_of_missing_evaluations_start_again_and_others_are_ancient(
    tmp_path: Path,
) -> None:
    opened = finish(invocation(tmp_path, serving()), "m/b", "m/c", "n/b")
    bridge = matrix(tmp_path, serving())
    found, forced = reruns(opened)
    servers = found.servers(bridge.allocations)
    done = servers(wildcards("m", "b"))
    assert all(is_flagged(path, "ancient") for path in done)
    judge = f"{opened.directory}/judge/deployment/deployment.json"
    assert forced == {judge}, "an evaluation of another model waits for it"
    missing = servers(wildcards("n", "c"))
    assert missing == [f"{opened.directory}/n/deployment/deployment.json", judge]
    assert not any(is_flagged(path, "ancient") for path in missing)
    assert forced == {*missing}


def test_a_server_that_no_missing_evaluation_asks_is_not_forced(tmp_path: Path) -> None:
    opened = finish(invocation(tmp_path, serving()), "m/b", "m/c", "n/b", "n/c")
    found, forced = reruns(opened)
    found.servers(matrix(tmp_path, serving()).allocations)(wildcards("m", "b"))
    assert forced == set()


def test_endpoints_of_an_earlier_start_force_the_table(tmp_path: Path) -> None:
    opened = finish(invocation(tmp_path), "m/b")
    found, forced = reruns(opened)
    assert (len(found.records()), forced) == (4, set())
    Notes(opened.directory).write(Noted("m", "endpoint"))
    assert reruns(opened, head=False)[0].records() == found.records()
    again, forced = reruns(opened)
    assert again.records() == found.records()
    assert forced == {f"{opened.directory}/results.csv"}


def test_results_that_did_not_arrive_are_exported_again(tmp_path: Path) -> None:
    assert reruns(invocation(tmp_path))[0].undelivered == [], "nothing is exported"
    opened = invocation(tmp_path, export={"local": {}})
    assert reruns(opened)[0].undelivered == [], "the exports did not run"
    (note,) = map(Path, opened.exports)
    note.parent.mkdir(parents=True)
    for lacking, expected in (({}, set()), ({"m/b": "no network"}, {str(note)})):
        note.write_text(json.dumps({"destinations": {"local": {"undelivered": lacking}}}))
        found, forced = reruns(opened)
        if lacking:
            assert inputs(found.undelivered, "", "") == []
        else:
            assert found.undelivered == []
        assert forced == expected
    assert reruns(opened, head=False)[0].undelivered == []


def test_forced_targets_reach_the_dag_of_the_workflow(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    assert isinstance(opened.reruns, Reruns)
    workflow = opened._workflow
    assert isinstance(workflow, Workflow)
    opened.reruns.force(["target"])
    assert workflow.dag.forcefiles == {"target"}
