"""How ``status`` shows the budget of a run."""

from __future__ import annotations

from pathlib import Path

from snakeval.ledger.budget import BudgetFile
from snakeval.run.directory import RunDirectory
from snakeval.watch.spending import as_data, spending


def test_status_shows_one_account_of_all_gateways(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    budget = "budget: {money: 2, tokens: 1000, requests: 5, wall: 1h}"
    run.write_config(f"models: {{m: {{prices: {{input: 1, currency: EUR}}}}}}\n{budget}", "0")
    first = BudgetFile(run.budget, {"tokens": 10})
    first.end(first.open("m/a", is_kept=True).id, {"tokens": 8, "money": 0.25, "requests": 2})
    now = [0.0]
    second = BudgetFile(run.budget, run.limits(), now=lambda: now[0])
    own = second.open("m/b", is_kept=True)
    second.take(own.id, {"tokens": 92}, {}, {"tokens": 10})
    second.tick({"wall": 0})
    now[0] = 12.0
    second.tick({"wall": 0})
    # A job of an earlier command, which waited long in a queue, has a smaller budget.
    BudgetFile(run.budget, {"tokens": 10}).open("m/c", is_kept=True)
    assert [str(each) for each in spending(run)] == [
        "0.250 EUR of 2.00 EUR (12 %)",
        "100 of 1,000 tokens (10 %)",
        "2 of 5 requests (40 %)",
        "12 s of 1 h 00 min (0 %)",
    ]
    assert as_data(spending(run))["tokens"] == {"spent": 100, "limit": 1000}


def test_status_has_the_budget_of_a_resume_before_its_first_gateway(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_config("budget: {tokens: 10}", "0")
    assert [str(each) for each in spending(run)] == ["0 of 10 tokens (0 %)"]
    file = BudgetFile(run.budget, {"tokens": 10})
    file.end(file.open("m/a", is_kept=True).id, {"tokens": 10})
    run.write_config("budget: {tokens: 40}", "0")
    assert [str(each) for each in spending(run)] == ["10 of 40 tokens (25 %)"]
    run.write_config("budget: null", "0")
    assert spending(run) == []


def test_a_run_without_a_budget_shows_none(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert spending(run) == []
    run.write_config("budget: {tokens: many}", "0")
    assert spending(run) == []
    run.write_config("budget: {tokens: 10}", "0")
    run.budget.mkdir(parents=True)
    assert spending(run) == []
