"""How far an evaluation is, told from evidence.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event
from snakeval.evaluation.record import Metric, headline
from snakeval.run.heads import enter
from snakeval.run.plan import Planned
from snakeval.serving import wire
from snakeval.watch.counts import counts
from snakeval.watch.state import State
from snakeval.watch.states import states
from snakeval.watch.view import said
from support.made import Made, between_looks, gone, lease_text


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "b", "other")


def state(run: Made) -> State:
    """Of the evaluation `m/b`."""
    return states(run.directory)[0]


def test_what_has_no_trace_is_pending(run: Made) -> None:
    assert state(run) == State("m", "b", "pending")


def test_a_finished_one_is_done_with_its_score_and_its_time(run: Made) -> None:
    run.done("b", Metric("b", "acc", 0.5, filter="strict", stderr=0.1))
    assert state(run) == State(
        "m", "b", "done", attempts=1, elapsed=90, host="h", runtime="process",
        metric="acc (strict)", value=0.5, stderr=0.1,
    )  # fmt: skip


def test_a_finished_one_has_its_warning(run: Made) -> None:
    run.judged("b", cut=7)
    found = state(run)
    assert found.warning == (
        "7 of 60 answers were cut by the token limit; raise params.max_new_tokens"
    )
    assert said(found).endswith(f"; warning: {found.warning}")
    run.judged("b", cut=0, given_up=0)
    assert state(run).warning == ""


def test_a_finished_one_has_the_rates_of_its_answers(run: Made) -> None:
    run.judged("b", cut=0, seconds=30.0, tokens={"completion": 15000})
    found = state(run)
    assert (found.requests_per_second, found.tokens_per_second) == (2.0, 500.0)
    assert said(found).endswith(", 2 requests/s, 500 tokens/s")
    run.judged("b", cut=7, seconds=30.0)
    assert ", 2 requests/s; warning: 7 of 60" in said(state(run))


def test_a_failed_one_has_its_reason(run: Made) -> None:
    run.failed("b", "out of coffee")
    assert (state(run).state, state(run).reason) == ("failed", "out of coffee")


def test_a_reason_of_a_damaged_plan_is_visible(run: Made) -> None:
    run.plan.append(Planned("m", "left", left_out="\x1b[31m\u202e"))
    run.save()
    assert states(run.directory)[-1].reason == "‹U+001B›[31m‹U+202E›"


def test_what_was_left_out_is_skipped_with_its_reason(run: Made) -> None:
    run.plan.append(Planned("m", "left", left_out="needs chat"))
    run.save()
    assert states(run.directory)[-1] == State("m", "left", "skipped", "needs chat")


def test_an_attempt_without_an_end_and_without_a_lease_was_interrupted(run: Made) -> None:
    run.begun("b")
    assert (state(run).state, state(run).attempts) == ("interrupted", 1)


@pytest.mark.parametrize("word", ["record", "artifacts", "definition"])
def test_an_evaluation_without_a_valid_result_is_pending(run: Made, word: str) -> None:
    place = run.done("b")
    fingerprint = run.evaluations["b"].fingerprint
    if word == "record":
        place.record(fingerprint).write_text("{")
        place.published.write_text("{")
    elif word == "artifacts":
        (place.artifacts / "f").unlink()
    else:
        run.plan[0] = Planned("m", "b", "0" * 64)
        run.save()
    assert state(run).state == "pending"


def test_a_failure_of_an_earlier_definition_is_none_of_this_one(run: Made) -> None:
    run.failed("b", "out of coffee")
    run.plan[0] = Planned("m", "b", "0" * 64)
    run.save()
    assert (state(run).state, state(run).reason) == ("pending", "its definition was changed")


# --- who lives ----------------------------------------------------------------------------------


def test_an_evaluation_whose_job_lives_is_running_with_its_requests(run: Made) -> None:
    run.held("b", "Requesting API:  45%|####5     | 18/40 [00:03<00:05,  4.20it/s]\r")
    found = state(run)
    assert (found.state, found.requests) == ("running", (18, 40))
    assert (found.host, found.pid, found.runtime) == (socket.gethostname(), os.getpid(), "process")
    assert found.elapsed is not None


def test_a_running_one_says_for_what_its_requests_wait(run: Made) -> None:
    run.held("b", "Requesting API:  45%|####5     | 18/40 [00:03<00:05,  4.20it/s]\r")
    requests = run.directory.evaluation("m/b").requests
    requests.mkdir()
    waiting = {"cause": "429", "seconds": 25.0, "requests": 4}
    part = {"causes": {"429": 40}, "waiting": waiting}
    (requests / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    found = state(run)
    assert (found.state, found.reason) == ("running", "429, waiting 25 s, 40 times")
    assert said(found) == "18 / 40 requests, 429, waiting 25 s, 40 times"


def test_an_evaluation_in_a_container_has_the_container_s_name(run: Made) -> None:
    run.held("b", runtime="docker")
    assert (state(run).runtime, state(run).container) == ("docker", run["b"].container_name)


@pytest.mark.parametrize("ended", ["held", "gone"])
def test_an_attempt_before_there_were_events_has_its_runtime_in_its_log(
    run: Made, ended: str
) -> None:
    run.held(
        "b", "snakeval: runtime: docker (auto)\n", **({"pid": gone()} if ended == "gone" else {})
    )
    run["b"].events.unlink()
    found = state(run)
    assert found.state == ("running" if ended == "held" else "interrupted")
    assert (found.runtime, found.container) == ("docker", run["b"].container_name)


def test_a_killed_job_s_attempt_was_interrupted(run: Made) -> None:
    run.held("b", pid=gone())
    assert state(run).state == "interrupted"
    assert state(run).reason.endswith("is gone")


def test_a_pid_that_another_process_has_by_now_does_not_count(run: Made) -> None:
    run.held("b", start="not its start")
    assert state(run).state == "interrupted"


def test_a_job_that_finished_but_has_its_lease_yet_is_done(run: Made) -> None:
    run.done("b")
    (run["b"].private / "lease").write_text(lease_text())
    assert state(run).state == "done"


def test_a_job_on_another_host_that_gave_a_sign_just_now_runs(run: Made) -> None:
    run.held("b", host="elsewhere", pid=7)
    assert (state(run).state, state(run).host, state(run).pid) == ("running", "elsewhere", 7)


def test_one_that_is_silent_for_long_was_interrupted(run: Made) -> None:
    run.held("b", host="elsewhere", age=100)
    assert state(run).state == "interrupted"


def test_one_that_is_silent_for_a_while_is_unknown(run: Made) -> None:
    run.heartbeat("b", 0.1)
    run.held("b", host="elsewhere", pid=7, age=20)
    found = state(run)
    assert found.state == "unknown"
    assert found.reason.startswith("process 7 on elsewhere gave no sign of life for 2")


def test_one_that_counts_on_between_two_looks_runs_whatever_the_clocks_say(
    run: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.heartbeat("b", 0.1)
    lease = run.held("b", host="elsewhere", age=20)

    def beat() -> None:
        draft = lease.with_name("draft")
        draft.write_text(lease_text(host="elsewhere", beat=1))
        os.utime(draft, times=(time.time() - 20,) * 2)
        draft.replace(lease)

    monkeypatch.setattr("snakeval.watch.states.time", between_looks(beat))
    assert state(run).state == "running"


def test_many_that_are_silent_are_waited_for_together(
    run: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b", "other"):
        run.heartbeat(name, 0.1)
        run.held(name, host="elsewhere", age=20)
    pauses: list[int] = []
    monkeypatch.setattr(
        "snakeval.watch.states.time", between_looks(*[lambda: pauses.append(1)] * 2)
    )
    assert [found.state for found in states(run.directory)] == ["unknown", "unknown"]
    assert pauses == [1]


def test_nothing_is_left_of_the_question_what_time_it_is(run: Made) -> None:
    run.held("b", host="elsewhere")
    before = sorted(run.path.rglob("*"))
    state(run)
    assert sorted(run.path.rglob("*")) == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_lease_makes_its_evaluation_unknown(run: Made, content: str) -> None:
    run.held("b").write_text(content)
    assert state(run).state == "unknown"
    assert states(run.directory)[1].state == "pending"


@pytest.mark.parametrize("content", [b"", b'{"reason": "\xff', b"[" * 100_000])
def test_a_damaged_reason_is_a_sentence_with_its_file(run: Made, content: bytes) -> None:
    run.failed("b", "x")
    file = run["b"].path / "failure.json"
    file.write_bytes(content)
    found = state(run)
    assert found.state == "unknown"
    assert found.reason.startswith(f"its files are damaged: {file} is damaged (")
    assert found.reason.endswith(")")


def test_a_file_that_cannot_be_read_is_named(run: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    note, real = run["b"].private / "attempt.json", os.open

    def fails(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) == str(note):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", fails)
    found = state(run)
    assert found.state == "unknown"
    assert found.reason == f"{note} cannot be read (Input/output error)"


def test_a_job_between_its_lease_and_its_failure_is_not_interrupted(run: Made) -> None:
    enter(run.directory, ["snakemake"])
    place = run.begun("b")
    threading.Timer(0.1, place.fail, ["out of coffee"]).start()
    assert state(run).state == "failed"


# --- models that we serve -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("happened", "told", "why"),
    [
        ([], "deploying", ""),
        ([Event("deploying", detail="loading for 5 s")], "deploying", "loading for 5 s"),
        ([Event("waiting", detail="waits for GPUs")], "waiting", "waits for GPUs"),
        ([Event("deploying"), Event("serving", url="http://h")], "running", ""),
        ([Event("serving"), Event("preparing", detail="pulled x")], "running", ""),
        ([Event("serving"), Event("running"), Event("ended")], "running", ""),
        (
            [Event("serving"), Event("running"), Event("lost", detail="killed")],
            "deploying",
            "killed",
        ),
        ([Event("serving"), Event("a later version's")], "running", ""),
    ],
)
def test_a_live_attempt_deploys_waits_or_runs_as_its_events_say(
    run: Made, happened: list[Event], told: str, why: str
) -> None:
    run.deploys("m", "m/b")
    run.held("b", "", *happened)
    assert (state(run).state, state(run).reason) == (told, why)


def test_a_model_that_could_not_be_deployed_fails_those_that_ask_it(run: Made) -> None:
    EvaluationDirectory(run.deploys("judge", "m/b")).fail("no GPU")
    found = states(run.directory)
    assert [(each.state, each.reason) for each in found] == [("failed", "no GPU"), ("pending", "")]


def test_to_look_starts_no_pool(run: Made) -> None:
    run.deploys("m", "m/b", "m/other")
    assert {found.state for found in states(run.directory)} == {"pending"}
    with pytest.raises(ConnectionRefusedError):
        wire.connect()


# --- a whole run --------------------------------------------------------------------------------


def test_what_was_done_is_not_looked_at_again(run: Made) -> None:
    run.done("b")
    before = states(run.directory)
    (run["b"].artifacts / "f").unlink()
    assert states(run.directory, before)[0].state == "done"
    assert states(run.directory)[0].state != "done"


def test_a_part_may_be_asked_for(run: Made) -> None:
    found = states(run.directory, only=lambda model, benchmark: benchmark == "other")
    assert [each.id for each in found] == ["m/other"]


def test_done_and_failed_are_counted_quickly(run: Made) -> None:
    run.done("b")
    run.failed("other", "x")
    run.plan.append(Planned("m", "left", left_out="needs chat"))
    run.save()
    assert counts(run.directory) == {"done": 1, "failed": 1, "total": 2}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "has no .snakeval/plan.json: it starts just now, or was partly deleted"),
        ("{", "plan.json: is damaged"),
        ("[[1, 2, 3, 4, 5]]", "plan.json: is damaged"),
        ("/", "plan.json: cannot be read (a directory)"),
    ],
)
def test_a_run_without_its_plan_fails_with_a_sentence(
    run: Made, content: str | None, told: str
) -> None:
    plan = run.path / ".snakeval/plan.json"
    plan.unlink()
    if content == "/":
        plan.mkdir()
    elif content is not None:
        plan.write_text(content)
    with pytest.raises(ConfigError) as error:
        states(run.directory)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("harm", ["nothing", "absent", "larger", "fingerprint"])
def test_a_record_counts_here_as_it_does_for_adoption(run: Made, harm: str) -> None:
    place = run.done("b")
    fingerprint = run.evaluations["b"].fingerprint
    if harm == "absent":
        (place.artifacts / "f").unlink()
    elif harm == "larger":
        (place.artifacts / "f").write_text("12")
    elif harm == "fingerprint":
        for record in (place.record(fingerprint), place.published):
            data = json.loads(record.read_text())
            record.write_text(json.dumps({**data, "fingerprint": "other"}))
    counted = states(run.directory)[0].state == "done"
    adopted = place.completion(fingerprint) is not None
    complete = place.why_incomplete(fingerprint) is None
    assert counted == complete == adopted == (harm == "nothing")


def test_the_headline_is_of_the_benchmark_s_own_task() -> None:
    metrics = [{"task": "mmlu_law"}, {"task": "mmlu"}, {"task": "mmlu"}]
    record = {"metrics": metrics, "identity": {"task": "mmlu", "params": {}}}
    assert headline(record) is metrics[1]
    assert headline({**record, "identity": {"task": "x", "params": {}}}) is metrics[0]
    assert headline({**record, "metrics": []}) is None


def test_a_point_of_equal_weights_has_the_state_of_its_evaluation(tmp_path: Path) -> None:
    run = Made(tmp_path, "b", "c")
    run.done("b")
    run.plan += [replace(item, model="twin", same_as="m") for item in run.plan]
    run.save()
    found = {state.id: state for state in states(run.directory)}
    assert (found["twin/b"].state, found["twin/c"].state) == ("done", "pending")
    assert replace(found["twin/b"], model="m") == found["m/b"]
    assert counts(run.directory) == {"done": 2, "failed": 0, "total": 4}
