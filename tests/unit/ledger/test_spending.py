"""Tests that a gateway spends what its run's budget allows, and counts what it spent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import accounts
from snakeval.ledger.budget import BudgetFile
from support.ledger import Bed, answer, bed, completion, counting, raw, run, says

#: Each answer of the endpoint has 3 tokens of a prompt and 5 of its own.
TOKENS = 8


def sample(number: int, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": f"item {number}"}], **more}


def budget(directory: Path, place: str = "m/b", **limits: float) -> dict[str, Any]:
    return {"file": str(directory / "budget"), "place": place, "limits": limits}


def spent(directory: Path, **limits: float) -> BudgetFile:
    found = BudgetFile(directory / "budget", limits)
    found.refresh()
    return found


async def ask(b: Bed, count: int, **more: Any) -> list[int]:
    """Ask until the gateway drains; return the statuses in their order."""
    asked = (b.post(sample(number, **more)) for number in range(count))
    return sorted(received.status for received in await asyncio.gather(*asked))


def test_no_request_is_sent_beyond_a_budget_of_requests(tmp_path: Path) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, requests=7)
        async with bed(tmp_path, counting(0.02), budget=own, start=4, ceiling=4) as b:
            assert await ask(b, 12) == [200] * 7 + [503] * 5
            assert len(b.endpoint.asked) == 7
            assert (b.used_up, b.fatal) == ([["requests"]], [])
        assert spent(tmp_path, requests=7).used_up() == ["requests"]

    run(scenario())


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 5}, 8),
        ({"prompt_tokens": 3, "completion_tokens": 0}, 3),
        ({"prompt_tokens": 3}, 3 + 16),
        ({"prompt_tokens": 3, "completion_tokens": None}, 3 + 16),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 16),
        ({}, 16),
    ],
)
def test_a_text_without_a_count_costs_as_many_tokens_as_it_may_have(
    tmp_path: Path, usage: dict[str, Any], tokens: int
) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, tokens=1000)
        said = says(answer({**completion("four"), "usage": usage}))
        async with bed(tmp_path, said, budget=own) as b:
            assert await ask(b, 1, max_tokens=16) == [200]
        assert spent(tmp_path).spent("tokens") == tokens

    run(scenario())


def test_a_budget_of_tokens_is_exceeded_by_what_was_in_flight(tmp_path: Path) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, tokens=100)
        async with bed(tmp_path, counting(0.02), budget=own, start=4, ceiling=4) as b:
            statuses = await ask(b, 40)
            assert b.used_up == [["tokens"]]
        assert 100 <= statuses.count(200) * TOKENS <= 100 + 4 * TOKENS
        assert spent(tmp_path).spent("tokens") == statuses.count(200) * TOKENS

    run(scenario())


def test_money_is_spent_by_the_prices_of_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        prices = {"input": 1_000_000.0, "output": 2_000_000.0}
        own = budget(tmp_path, money=65)
        async with bed(tmp_path, counting(), budget=own, prices=prices, start=1, ceiling=1) as b:
            assert (await ask(b, 9)).count(200) == 5
            assert b.used_up == [["money"]]
        assert spent(tmp_path).spent("money") == pytest.approx(65)

    run(scenario())


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_an_answer_without_a_count_costs_what_its_request_allows(
    tmp_path: Path, usage: dict[str, int] | None
) -> None:
    silent = {**completion("2"), "usage": usage}

    async def scenario() -> None:
        own = budget(tmp_path, tokens=100)
        async with bed(tmp_path, says(answer(silent)), budget=own, start=1, ceiling=1) as b:
            assert (await ask(b, 9, max_tokens=25)).count(200) == 4
        assert spent(tmp_path).spent("tokens") == 100

    run(scenario())


def test_what_an_endpoint_refuses_costs_nothing(tmp_path: Path) -> None:
    refused = raw("429 Too Many", ["Retry-After: 0.01", "Content-Length: 0"])
    failed = answer({"error": "of the server"}, "500 Oops", "Retry-After: 0.01")

    async def scenario() -> None:
        script = says(refused, failed, refused, answer(completion("2")))
        own = budget(tmp_path, tokens=100, requests=10)
        async with bed(tmp_path, script, budget=own, start=1, ceiling=1) as b:
            assert await ask(b, 1) == [200]
            assert len(b.endpoint.asked) == 4
        found = spent(tmp_path)
        assert (found.spent("tokens"), found.spent("requests")) == (TOKENS, 2)

    run(scenario())


def test_an_answer_of_the_journal_costs_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        for statuses in ([200] * 3, [200] * 3):
            own = budget(tmp_path, requests=3)
            async with bed(tmp_path, counting(), budget=own) as b:
                assert await ask(b, 3) == statuses
                assert b.used_up == []
        assert spent(tmp_path).spent("requests") == 3

    run(scenario())


def test_a_greater_budget_continues_and_asks_nothing_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        for most, arrived in ((4, 4), (4, 0), (9, 5)):
            own = budget(tmp_path, requests=most)
            async with bed(tmp_path, counting(), budget=own, start=1, ceiling=1) as b:
                await ask(b, 9)
                assert len(b.endpoint.asked) == arrived

    run(scenario())


def killed(b: Bed) -> None:
    """Let the gateway end as a killed one does: its account stays open."""
    assert b.gateway.spending is not None
    b.gateway.spending = None


@pytest.mark.parametrize(("mode", "known"), [("on", 3), ("memory", 10)])
def test_the_slices_of_a_killed_gateway_come_back(tmp_path: Path, mode: str, known: int) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, requests=1000)
        async with bed(tmp_path, counting(), budget=own, mode=mode) as b:
            await ask(b, 3)
            killed(b)
        assert spent(tmp_path, requests=1000).free("requests") == 990
        # A gateway of another evaluation leaves it alone.
        other = tmp_path / "other"
        elsewhere = own | {"place": "m/c"}
        async with bed(other, counting(), budget=elsewhere, mode=mode):
            assert spent(tmp_path, requests=1000).free("requests") == 990
        async with bed(tmp_path, counting(), budget=own, mode=mode):
            assert spent(tmp_path, requests=1000).spent("requests") == known

    run(scenario())


def test_a_failed_request_counts_after_a_kill_as_far_as_the_last_slice(tmp_path: Path) -> None:
    failed = answer({"error": "of the server"}, "500 Oops", "Retry-After: 0.01")

    async def scenario() -> None:
        own = budget(tmp_path, requests=8)
        async with bed(tmp_path, says(failed), budget=own, tries=2, start=1, ceiling=1) as b:
            assert await ask(b, 2) == [500, 500]
            killed(b)
        async with bed(tmp_path, counting(), budget=own) as b:
            # Each slice is one request; the fourth had not been written down.
            assert spent(tmp_path).spent("requests") == 3
        assert accounts.spent_by("nobody", tmp_path)["requests"] == 0

    run(scenario())


def test_a_budget_that_cannot_be_written_ends_the_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, requests=8)
        async with bed(tmp_path, counting(), budget=own) as b:
            (tmp_path / "budget").unlink()
            (tmp_path / "budget").mkdir()
            assert (await b.post(sample(1))).status == 502
            assert "budget cannot be written (Is a directory)" in b.fatal[0]
            assert b.endpoint.asked == []

    run(scenario())


def test_time_that_is_over_lets_requests_end_and_begins_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, wall=60)
        async with bed(tmp_path, counting(0.3), budget=own, start=1, ceiling=1) as b:
            assert b.gateway.spending is not None
            first = asyncio.ensure_future(b.post(sample(1)))
            while not b.endpoint.asked:
                await asyncio.sleep(0.005)
            b.gateway.spending.budget.clocks["wall"] = {"seconds": 61.0}
            ticking = asyncio.ensure_future(b.gateway.spending.tick())
            assert (await b.post(sample(2))).status == 503
            assert (await first).status == 200
            assert (b.used_up, len(b.endpoint.asked)) == ([["wall"]], 1)
            ticking.cancel()

    run(scenario())


def test_a_gateway_whose_account_was_ended_says_so_and_not_that_the_budget_is_used_up(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        own = budget(tmp_path, requests=1000)
        async with bed(tmp_path, counting(), budget=own) as b:
            assert await ask(b, 3) == [200] * 3
            assert b.gateway.spending is not None
            # Another process took this one for dead while it stood still.
            file = spent(tmp_path, requests=1000)
            (account,) = file.accounts.values()
            file.end(account.id, {"requests": 3.0})
            await ask(b, 20)
            assert b.used_up == []
            assert "stood still, and another one ended its account" in b.fatal[0]
            assert len(b.endpoint.asked) <= 10, "its slice"

    run(scenario())
