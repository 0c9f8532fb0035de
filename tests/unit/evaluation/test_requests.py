"""The counts that a gateway writes of an evaluation's requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation import progress, requests
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.ledger.counts import Counts


def place(directory: Path, data: Any) -> EvaluationDirectory:
    found = EvaluationDirectory(directory / "run/m/b")
    found.requests.mkdir(parents=True)
    (found.requests / "summary.json").write_text(
        data if isinstance(data, str) else json.dumps(data)
    )
    return found


def counted() -> dict[str, Any]:
    counts = Counts()
    counts.requests, counts.asked, counts.replayed, counts.wanted_again = 5, 3, 2, 2
    meta = {"tries": 2, "tokens": {"prompt": 7, "completion": 1}, "finish": ["stop"], "whole": 0.5}
    counts.received(meta, b"k" * 16, 0)
    return {**counts.data(3), "in_flight": 1, "queued": 4}


def test_counts_of_each_model_are_read(tmp_path: Path) -> None:
    directory = place(tmp_path, {"upstreams": {"m": counted(), "judge": counted()}})
    found = requests.read(directory)
    assert set(found) == {"m", "judge"}
    one = found["m"]
    assert (one.requests, one.answered, one.replayed, one.not_asked_again) == (5, 5, 2, 1)
    assert (one.prompt_tokens, one.completion_tokens) == (7, 1)
    assert progress.requests(directory) == (10, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"upstreams": {"m": {"requests": "x"}}}'])
def test_a_damaged_summary_has_no_counts(tmp_path: Path, text: str) -> None:
    assert requests.read(place(tmp_path, text)) == {}


def test_an_evaluation_without_a_gateway_has_no_counts(tmp_path: Path) -> None:
    assert requests.read(EvaluationDirectory(tmp_path / "run/m/b")) == {}


def test_what_went_wrong_with_the_requests_is_read_by_model(tmp_path: Path) -> None:
    found = EvaluationDirectory(tmp_path / "m/b")
    found.requests.mkdir(parents=True)
    part = Counts().data(0) | {"requests": 3, "unanswered": 1, "faults": [{"kind": "5xx"}]}
    part["answers"] |= {"asked": 1, "journal": 1}
    (found.requests / "summary.json").write_text(json.dumps({"upstreams": {"m": part, "j": part}}))
    faults = ({"kind": "5xx"},)
    assert requests.faults_seen(found) == [
        requests.Seen("m", 3, 2, 1, faults),
        requests.Seen("j", 3, 2, 1, faults),
    ]
    (found.requests / "summary.json").write_text('{"upstreams": {"m": {"faults": 3}}}')
    assert requests.faults_seen(found) == []


def test_what_requests_wait_for_is_read_while_the_gateway_lives(tmp_path: Path) -> None:
    part = counted() | {
        "causes": {"429": 40, "broken": 2},
        "waiting": {"cause": "429", "seconds": 25.0, "requests": 4},
    }
    found = place(tmp_path, {"upstreams": {"m": part, "judge": counted()}})
    assert requests.waiting(found) == "429, waiting 25 s, 40 times"
    summary = found.requests / "summary.json"
    broken = {"cause": "broken", "seconds": 0.5, "requests": 1}
    limit = {"cause": "limit", "seconds": 300.0, "requests": 2}
    summary.write_text(json.dumps({"upstreams": {"m": part | {"waiting": limit}}}))
    assert requests.waiting(found) == "the limit of the endpoint, waiting 300 s"
    both = {"upstreams": {"m": part, "judge": part | {"waiting": broken}}}
    summary.write_text(json.dumps(both))
    assert requests.waiting(found) == (
        "429, waiting 25 s, 40 times; broken connections, waiting 0.5 s, 2 times"
    )
    summary.write_text(json.dumps(both | {"ended": 7}))
    assert requests.waiting(found) == ""
    summary.write_text(json.dumps({"upstreams": {"m": part | {"waiting": {"seconds": "x"}}}}))
    assert requests.waiting(found) == ""
    assert requests.waiting(EvaluationDirectory(tmp_path / "none")) == ""


def test_the_answer_identity_is_that_of_the_model_alone() -> None:
    model = {"model_id": "m", "endpoint_url": "http://host/v1", "deployment": {}}
    same = requests.answer_identity({**model, "endpoint_type": "chat"})
    assert requests.answer_identity(model) == same
    for change in ({"model_id": "n"}, {"endpoint_url": "http://h/v1"}, {"deployment": {"w": 1}}):
        assert requests.answer_identity({**model, **change}) != same


def test_finish_reasons_of_an_endpoint_are_bounded() -> None:
    counts = Counts()
    for number in range(1000):
        reason = f"{'long' * 99}" if number % 2 else f"reason {number}"
        counts.received({"finish": [reason, "stop"]}, b"k" * 16, number)
    found = counts.data(0)["finish_reasons"]
    assert sum(found.values()) == 2000
    assert len(found) <= 17
    assert max(map(len, found)) <= 40
    assert found["stop"] == 1000


def test_answers_that_another_run_paid_are_no_part_of_the_paid_ones() -> None:
    counts = Counts()
    counts.requests, counts.asked, counts.replayed = 3, 1, 2
    tokens = {"prompt": 7, "completion": 1}
    counts.received({"tokens": tokens}, b"k" * 16, 0)
    counts.received({"tokens": tokens}, b"k" * 16, 1, is_free=True)
    counts.received({}, b"k" * 16, 2, is_free=True)
    whole = requests.Counts.of(counts.data(0))
    assert (whole.answered, whole.uncounted, whole.prompt_tokens) == (3, 1, 14)
    paid = whole.paid
    assert (paid.answered, paid.uncounted, paid.prompt_tokens, paid.completion_tokens) == (
        1,
        0,
        7,
        1,
    )
    assert paid.paid == paid
