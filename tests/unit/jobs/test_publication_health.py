"""Health decides what is published, what runs again, and what a changed rule changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snakeval.jobs.publication import failure_stands
from snakeval.jobs.stored_answers import asks_again
from support.asking import Asking
from support.faulty import Faulty, faulty, redefine, tolerant
from support.journals import said

pytestmark = pytest.mark.usefixtures("in_this_process")

PAGE = b"<html><title>Sign in</title></html>"
CUT_FAILS = {"cut": {"fail": 0.01}}


@pytest.fixture
def endpoint() -> Iterator[Faulty]:
    with faulty() as each:
        yield each


def is_published(job: Asking) -> bool:
    there = job.directory.published.exists()
    assert there == (job.directory.completion(job.evaluation.fingerprint) is not None)
    return there


def health(job: Asking) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.directory.published.read_text())["health"]
    return found["models"]["m"]


def attempts(job: Asking) -> int:
    return job.directory.read_attempt().number


FAULTS = [
    (503, {"error": {"message": "busy"}}),
    (200, {"error": {"message": "sick"}}),
    (200, {"choices": []}),
    (200, PAGE),
]


def test_lost_requests_fail_and_the_same_command_asks_only_for_them(
    tmp_path: Path, endpoint: Faulty
) -> None:
    endpoint.behaviour = lambda number, before: FAULTS[number] if number < 4 else (200, said())
    job = tolerant(tmp_path, endpoint, count=6, limits={"m": {"patience": 0.1}})
    code, reason = job()
    assert code == 1
    assert "1 of 6 requests received no answer (m), rule health.given_up: fail at 1" in reason
    assert "also 2 errors, 1 no JSON" in reason
    assert reason.endswith("; the endpoint is overloaded: busy")
    assert len(reason) <= 300
    assert not is_published(job)
    endpoint.asked.clear()
    endpoint.behaviour = lambda number, before: (200, said())
    assert job() == (0, "")
    assert sorted(endpoint.asked) == [0, 1, 2, 3]
    assert is_published(job)
    assert [health(job)[rule] for rule in ("given_up", "error", "truncated", "html")] == [0] * 4


def test_a_healed_fault_is_counted_and_does_not_warn(tmp_path: Path, endpoint: Faulty) -> None:
    sick = (500, {"error": {"message": "sick"}})
    endpoint.behaviour = lambda number, before: (200, said()) if before or number else sick
    job = tolerant(tmp_path, endpoint, max_retries=2)
    assert job() == (0, "")
    assert (health(job)["retries"], health(job)["given_up"]) == (1, 0)
    assert health(job)["causes"] == {"5xx": 1}


def test_answers_of_another_model_are_dropped_and_asked_again(
    tmp_path: Path, endpoint: Faulty
) -> None:
    def another(number: int, before: int) -> tuple[int, Any]:
        return 200, said(model="m-2" if number == 2 else "m-1")

    endpoint.behaviour = another
    job = tolerant(tmp_path, endpoint)
    code, reason = job()
    assert (code, is_published(job)) == (1, False)
    assert "1 of 4 answers name another model (m-2 besides m-1)" in reason
    endpoint.asked.clear()
    assert job()[0] == 1, "the endpoint still has two models"
    assert endpoint.asked == [2]
    endpoint.behaviour = lambda number, before: (200, said())
    assert job() == (0, "")
    assert endpoint.asked == [2, 2]
    assert health(job)["names"] == {"m-1": 4}


def test_answers_as_decides_which_model_counts(tmp_path: Path, endpoint: Faulty) -> None:
    job = tolerant(tmp_path, endpoint, answers_as={"m": "m-2"})
    assert job()[0] == 1
    endpoint.behaviour = lambda number, before: (200, said(model="m-2"))
    endpoint.asked.clear()
    assert job() == (0, "")
    assert sorted(endpoint.asked) == [0, 1, 2, 3]


def test_a_failure_of_kept_answers_stands_without_a_request(
    tmp_path: Path, endpoint: Faulty
) -> None:
    endpoint.behaviour = lambda number, before: (200, said("half", "length"))
    job = tolerant(tmp_path, endpoint, health=CUT_FAILS)
    code, reason = job()
    assert (code, is_published(job)) == (1, False)
    assert "4 of 4 answers were cut by the token limit" in reason
    assert "`snakeval resume ID --ask-again unhealthy`" in reason
    assert failure_stands(job.evaluation, job.directory), "so no server has to start"
    endpoint.asked.clear()
    assert job() == (1, reason)
    assert (endpoint.asked, attempts(job)) == ([], 1)
    redefine(job, endpoint, health=CUT_FAILS, ask_again="unhealthy 1")
    endpoint.behaviour = lambda number, before: (200, said())
    assert not failure_stands(job.evaluation, job.directory)
    assert job() == (0, "")
    assert sorted(endpoint.asked) == [0, 1, 2, 3]
    assert health(job)["cut"] == 0
    assert not asks_again(job.evaluation, job.directory), "a retry of the command drops nothing"


def test_changed_rules_judge_finished_results_again_without_a_request(
    tmp_path: Path, endpoint: Faulty
) -> None:
    endpoint.behaviour = lambda number, before: (200, said("half", "length"))
    job = tolerant(tmp_path, endpoint)
    assert job() == (0, "")
    before = job.directory.published.read_bytes()
    endpoint.asked.clear()
    redefine(job, endpoint, health=CUT_FAILS)
    assert job()[0] == 1
    assert not is_published(job)
    redefine(job, endpoint, health={"cut": {}})
    assert job() == (0, "")
    assert job.directory.published.read_bytes() == before
    assert (endpoint.asked, attempts(job)) == ([], 1)


def test_a_laxer_rule_publishes_lost_requests_and_a_strict_one_asks_for_them(
    tmp_path: Path, endpoint: Faulty
) -> None:
    endpoint.behaviour = lambda number, before: (200, PAGE) if number == 1 else (200, said())
    job = tolerant(tmp_path, endpoint, health={"html": {"warn": 1}})
    assert job() == (0, "")
    endpoint.asked.clear()
    endpoint.behaviour = lambda number, before: (200, said())
    redefine(job, endpoint)
    assert job() == (0, "")
    assert endpoint.asked == [1]
    assert health(job)["html"] == 0
