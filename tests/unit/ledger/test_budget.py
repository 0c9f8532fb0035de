"""Tests of the file from which gateways take slices of a run's budget."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import pytest

from snakeval.ledger.budget import LONGEST_TICK, BudgetFile

LIMITS = {"tokens": 1000.0, "requests": 50.0, "money": 2.0}


def one(directory: Path, **limits: float) -> BudgetFile:
    return BudgetFile(directory / "budget", limits or LIMITS)


def test_a_slice_is_a_hundredth_and_at_least_a_whole_one(tmp_path: Path) -> None:
    budget = one(tmp_path)
    assert [budget.slice_of(kind) for kind in LIMITS] == [10, 1, 0.02]


def test_slices_come_back_at_the_end(tmp_path: Path) -> None:
    first, second = one(tmp_path), one(tmp_path)
    a = first.open("m/a", is_kept=True)
    assert first.take(a.id, {}, {}, {"tokens": 600}) == {"tokens": 600}
    b = second.open("m/b", is_kept=True)
    assert second.take(b.id, {}, {}, {"tokens": 600}) == {"tokens": 400}
    assert second.take(b.id, {}, {}, {"tokens": 600}) == {"tokens": 400}
    first.end(a.id, {"tokens": 250})
    assert second.take(b.id, {}, {}, {"tokens": 600}) == {"tokens": 750}
    assert (second.spent("tokens"), second.free("tokens")) == (250, 0)
    assert second.used_up() == ["tokens"]


def test_what_was_spent_beyond_a_slice_counts(tmp_path: Path) -> None:
    budget = one(tmp_path)
    a = budget.open("m/a", is_kept=True)
    budget.take(a.id, {}, {}, {"tokens": 10})
    assert budget.take(a.id, {"tokens": 95}, {}, {"tokens": 10}) == {"tokens": 105}
    assert budget.free("tokens") == 895
    budget.end(a.id, {"tokens": 1200})
    assert (budget.spent("tokens"), budget.free("tokens")) == (1200, 0)


def test_a_greater_limit_leaves_more(tmp_path: Path) -> None:
    budget = one(tmp_path)
    budget.end(budget.open("m/a", is_kept=True).id, {"tokens": 1003, "requests": 50})
    assert budget.used_up() == ["tokens", "requests"]
    greater = one(tmp_path, tokens=1500.0)
    greater.refresh()
    assert (greater.free("tokens"), greater.used_up()) == (497, [])


def test_a_gateway_whose_account_was_ended_takes_nothing(tmp_path: Path) -> None:
    slept, next_one = one(tmp_path), one(tmp_path)
    a = slept.open("m/a", is_kept=True)
    slept.take(a.id, {}, {}, {"tokens": 10})
    next_one.refresh()
    assert [each.id for each in next_one.left_open("m/a")] == [a.id]
    assert next_one.left_open("m/b") == []
    next_one.end(a.id, {"tokens": 4})
    assert slept.take(a.id, {"tokens": 9}, {}, {"tokens": 10}) == {}
    assert (slept.spent("tokens"), slept.left_open("m/a")) == (4, [])


@pytest.mark.parametrize("torn", [b'12345678 {"account', b"zzz\n", b"00000000 {}\n"])
def test_a_torn_line_is_ignored(tmp_path: Path, torn: bytes) -> None:
    budget = one(tmp_path)
    a = budget.open("m/a", is_kept=True)
    with budget.path.open("ab") as file:
        file.write(torn)
    budget.take(a.id, {"tokens": 3}, {}, {"tokens": 10})
    again = one(tmp_path)
    again.refresh()
    assert (again.spent("tokens"), again.free("tokens")) == (3, 987)


def test_a_file_that_was_replaced_by_a_shorter_one_is_read_again(tmp_path: Path) -> None:
    budget = one(tmp_path)
    budget.end(budget.open("m/a", is_kept=True).id, {"tokens": 30})
    budget.path.write_bytes(b"")
    budget.refresh()
    assert budget.spent("tokens") == 0


def test_a_clock_passes_once_for_all(tmp_path: Path) -> None:
    now = [1000.0]
    files = [BudgetFile(tmp_path / "budget", {"wall": 60}, now=lambda: now[0]) for _ in range(3)]
    for _ in range(12):
        for each in files:
            each.tick({"wall": 0.0, "model": 7.2})
        now[0] += 5
    assert files[-1].spent("wall") == 55
    assert files[-1].spent("money") == pytest.approx(55 * 7.2 / 3600)
    assert files[-1].used_up() == []
    files[0].tick({"wall": 0.0})
    assert files[0].used_up() == ["wall"]


def test_time_in_which_no_gateway_worked_does_not_pass(tmp_path: Path) -> None:
    now = [1000.0]
    budget = BudgetFile(tmp_path / "budget", {"wall": 60}, now=lambda: now[0])
    for later in (0.0, 5.0, LONGEST_TICK + 1, 5.0, -3.0):
        now[0] += later
        budget.tick({"wall": 0.0})
    assert budget.spent("wall") == 10


def spend(path: Path, seed: int, results: multiprocessing.SimpleQueue[tuple[float, float]]) -> None:
    """Take and spend until nothing is left; answer with what was spent, and the last overdraft."""
    drawn, budget = random.Random(seed), BudgetFile(path, {"tokens": 2000.0})
    account = budget.open(f"m/{seed}", is_kept=True)
    used = taken = 0.0
    while True:
        if used >= taken:
            found = budget.take(account.id, {"tokens": used}, {}, {"tokens": 20.0})
            if found.get("tokens", 0.0) <= max(taken, used):
                break
            taken = found["tokens"]
        used += drawn.randint(1, 30)
    budget.end(account.id, {"tokens": used})
    results.put((used, max(0.0, used - taken)))


def test_many_processes_spend_the_budget_and_no_more(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[tuple[float, float]] = context.SimpleQueue()
    path = tmp_path / "budget"
    processes = [context.Process(target=spend, args=(path, seed, results)) for seed in range(4)]
    for each in processes:
        each.start()
    found = [results.get() for _ in processes]
    for each in processes:
        each.join(60)
    spent = sum(used for used, _ in found)
    assert 2000 <= spent <= 2000 + sum(over for _, over in found)
    budget = BudgetFile(path, {"tokens": 2000.0})
    budget.refresh()
    assert budget.spent("tokens") == spent
