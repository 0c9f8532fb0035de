"""How ``status`` shows the budget of a run."""

from __future__ import annotations

from pathlib import Path

from snakeval.ledger.budget import BudgetFile
from snakeval.run.directory import RunDirectory
from snakeval.watch.spending import as_data, spending


def test_status_shows_each_kind_of_the_newest_budget(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_config("models: {m: {prices: {input: 1, currency: EUR}}}", "0")
    first = BudgetFile(run.budget, {"tokens": 10})
    first.end(first.open("m/a", is_kept=True).id, {"tokens": 8, "money": 0.25, "requests": 2})
    limits = {"money": 2.0, "tokens": 1000, "requests": 5, "wall": 3600}
    now = [0.0]
    second = BudgetFile(run.budget, limits, now=lambda: now[0])
    own = second.open("m/b", is_kept=True)
    second.take(own.id, {"tokens": 92}, {}, {"tokens": 10})
    second.tick({"wall": 0})
    now[0] = 12.0
    second.tick({"wall": 0})
    assert [str(each) for each in spending(run)] == [
        "0.250 EUR of 2.00 EUR (12 %)",
        "100 of 1,000 tokens (10 %)",
        "2 of 5 requests (40 %)",
        "12 s of 1 h 00 min (0 %)",
    ]
    assert as_data(spending(run))["tokens"] == {"spent": 100, "limit": 1000}


def test_a_run_without_a_budget_shows_none(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert spending(run) == []
    run.budget.mkdir(parents=True)
    assert spending(run) == []
