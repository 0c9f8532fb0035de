"""The end of an evaluation with the budget of its run, and how it continues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.evaluation import requests
from snakeval.jobs import budget
from snakeval.ledger.budget import BudgetFile
from snakeval.run.directory import RunDirectory
from support.asking import Asking

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with serve() as each:
        yield each


def arrived(server: DemoServer) -> int:
    found: int = server.stats()["requests"]
    return found


def spent(job: Asking, kind: str = "requests") -> float:
    file = BudgetFile(RunDirectory.of(job.directory).budget, {})
    file.refresh()
    return file.spent(kind)


def test_a_budget_stops_an_evaluation_and_a_greater_one_continues_it(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url, count=5, budget={"requests": 3})
    code, reason = job()
    continues = f"continue: snakeval resume {tmp_path / 'run'} --budget requests=6"
    assert (code, reason) == (
        1,
        f"the run's budget of 3 requests is used up (3 requests spent); {continues}",
    )
    assert (arrived(server), spent(job)) == (3, 3)
    assert requests.used_up(job.directory) == ["requests"]
    attempts = len(job.directory.attempt_logs())
    assert job()[0] == 1
    assert len(job.directory.attempt_logs()) == attempts, "nothing starts"
    job.redefine(server.url, budget={"requests": 6})
    assert job() == (0, "")
    assert (arrived(server), spent(job)) == (5, 5)
    assert requests.used_up(job.directory) == []


def test_an_evaluation_that_has_all_its_answers_ends_without_a_budget(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url, count=3, dies=2, budget={"requests": 2})
    assert "an answer is missing" in job()[1]
    job.count = 2
    job.redefine(server.url, budget={"requests": 2})
    assert job() == (0, "")
    assert arrived(server) == 2


def test_an_evaluation_that_has_not_begun_does_not_start(
    tmp_path: Path, server: DemoServer
) -> None:
    Asking(tmp_path, server.url, count=2, budget={"tokens": 1})()
    other = Asking(tmp_path, server.url, count=2, budget={"tokens": 1})
    other.directory = type(other.directory)(tmp_path / "run/m/c")
    other.directory.make_way()
    code, reason = other()
    assert code == 1
    assert reason.startswith("the run's budget of 1 token is used up (")
    assert other.directory.attempt_logs() == []
    assert arrived(server) == 1
    other.redefine(server.url, budget={"tokens": 1}, ledger="on", offline=True)
    assert other()[1].startswith("offline"), "offline asks nothing, so no budget counts"


def test_the_slices_of_killed_gateways_come_back_before_a_refusal(
    tmp_path: Path, server: DemoServer
) -> None:
    job = Asking(tmp_path, server.url, count=2, budget={"requests": 4})
    job.directory.make_way()
    run = RunDirectory.of(job.directory)
    run.budget.parent.mkdir(parents=True)
    file = BudgetFile(run.budget, {"requests": 4})
    killed = file.open("m/killed", is_kept=True)
    file.take(killed.id, {}, {}, {"requests": 4})
    assert file.used_up() == ["requests"]
    assert job() == (0, "")
    assert spent(job) == 2


def test_money_is_named_in_the_currency_of_the_prices(tmp_path: Path, server: DemoServer) -> None:
    prices = {"m": {"input": 1e6, "output": 1e6, "currency": "EUR"}}
    job = Asking(tmp_path, server.url, count=3, budget={"money": 0.5}, prices=prices)
    code, reason = job()
    assert code == 1
    assert reason.startswith("the run's budget of 0.500 EUR is used up (")
    assert reason.endswith("--budget money=1")
    assert spent(job, "money") == spent(job, "tokens")


def test_without_a_budget_the_gateway_has_none(tmp_path: Path) -> None:
    job = Asking(tmp_path, "http://localhost:1")
    assert budget.options_of(job.evaluation, job.directory, {}) is None
    assert not RunDirectory.of(job.directory).budget.exists()


def test_the_judge_of_a_re_score_has_a_budget(tmp_path: Path) -> None:
    job = Asking(tmp_path, "http://localhost:1", budget={"requests": 1}, offline=True)
    assert budget.options_of(job.evaluation, job.directory, {}) is None
    judged = replace(job.evaluation.transport, online=("judge",))
    options = budget.options_of(replace(job.evaluation, transport=judged), job.directory, {})
    assert options is not None
    assert options["limits"] == {"requests": 1}


def test_the_gateway_gets_the_whole_path_of_the_file(
    tmp_path: Path, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Asking(tmp_path, server.url, count=2, budget={"requests": 1})
    monkeypatch.chdir(tmp_path)
    job.directory = type(job.directory)("run/m/b")
    assert "(1 request spent)" in job()[1]
    assert RunDirectory(tmp_path / "run").budget.is_file()
