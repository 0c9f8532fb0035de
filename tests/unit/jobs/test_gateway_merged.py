"""Evaluations that the journals of other runs answer before their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.evaluation.health import Health
from support.asking import Asking
from support.faulty import faulty, tolerant
from support.journals import said

pytestmark = pytest.mark.usefixtures("in_this_process")


def counted(job: Asking) -> tuple[int | None, int | None]:
    """Return how many answers the health in the record counts, and how many it lacks."""
    record = json.loads(job.directory.published.read_text())
    found = Health.read(record["health"]).models["m"]
    return found.answered, found.missing


def test_the_journals_of_two_runs_answer_a_third_in_their_order(tmp_path: Path) -> None:
    with serve() as server:
        found = []
        for name, same in (("first", 1), ("second", 2)):
            (tmp_path / name).mkdir()
            job = Asking(tmp_path / name, server.url, count=2, same=same)
            assert job() == (0, "")
            found.append(job.answers)
        first, second = found
        paths = tuple(str(tmp_path / name / "run") for name in ("first", "second"))
        third = Asking(tmp_path, server.url, count=2, same=4, answers=paths)
        assert third() == (0, "")
        assert server.stats()["requests"] == 2 + 4 + 2, "one answer to each question was left"
        own = [third.answers[3], third.answers[7]]
        assert third.answers == [first[0], *second[:2], own[0], first[1], *second[2:], own[1]]
        assert len(third.stored) == 8, "copies of the six, and two of its own"
        assert counted(third) == (8, 0)
        third.count, third.same = 2, 3
        third.redefine(server.url, answers=paths, offline=True)
        assert third() == (0, "")
        assert third.answers == [first[0], *second[:2], first[1], *second[2:]]
        assert counted(third) == (6, 0), "its own two are not used"


def test_health_counts_the_used_answers_of_other_runs_alone(tmp_path: Path) -> None:
    with serve() as server:
        (tmp_path / "first").mkdir()
        assert Asking(tmp_path / "first", server.url, count=3, same=2)() == (0, "")
        job = Asking(tmp_path, server.url, count=2, answers=(str(tmp_path / "first/run"),))
        assert job() == (0, "")
        assert server.stats()["requests"] == 6
        assert counted(job) == (2, 0)


def test_a_journal_of_another_endpoint_answers_nothing(tmp_path: Path) -> None:
    with serve() as server, serve() as other:
        (tmp_path / "first").mkdir()
        assert Asking(tmp_path / "first", other.url)() == (0, "")
        job = Asking(tmp_path, server.url, answers=(str(tmp_path / "first/run"),))
        assert job() == (0, "")
        assert server.stats()["requests"] == 3


def test_a_borrowed_answer_of_another_model_is_dropped_and_asked_again(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    with faulty(lambda number, before: (200, said(model="m-2"))) as endpoint:
        assert tolerant(tmp_path / "first", endpoint)() == (0, "")
        endpoint.asked.clear()
        lender = (str(tmp_path / "first/run"),)
        job = tolerant(tmp_path, endpoint, answers=lender, answers_as={"m": "m-1"})
        assert job()[0] == 1
        assert endpoint.asked == []
        endpoint.behaviour = lambda number, before: (200, said())
        assert job() == (0, "")
        assert sorted(endpoint.asked) == [0, 1, 2, 3]
        assert counted(job) == (4, 0)


def test_borrowed_answers_stay_if_the_other_run_goes(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    with serve() as server:
        assert Asking(tmp_path / "first", server.url)() == (0, "")
        job = Asking(tmp_path, server.url, dies=2, answers=(str(tmp_path / "first/run"),))
        assert job()[0] == 1
        (tmp_path / "first/run").rename(tmp_path / "first/gone")
        job.lives()
        assert job() == (0, "")
        assert server.stats()["requests"] == 3, "those of the first run"
