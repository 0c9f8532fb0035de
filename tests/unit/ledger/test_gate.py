"""Tests of the queue before an endpoint."""

from __future__ import annotations

import asyncio

import pytest

from snakeval.ledger.gate import Closed, Gate
from snakeval.ledger.limit import Bounds, Limit
from support.ledger import run


def test_the_oldest_request_goes_first() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate, order = Gate(Limit(Bounds(1, 1), loop.time())), []

        async def one(number: int) -> None:
            await gate.enter(number)
            order.append(number)
            gate.limit.end(loop.time(), loop.time())
            gate.pump()

        await gate.enter(0)
        tasks = [asyncio.ensure_future(one(number)) for number in (3, 1, 2)]
        await asyncio.sleep(0)
        assert gate.queued == 3
        gate.limit.end(loop.time(), loop.time())
        gate.pump()
        await asyncio.gather(*tasks)
        assert order == [1, 2, 3]

    run(scenario())


def test_a_request_that_is_cancelled_takes_no_place() -> None:
    async def scenario() -> None:
        gate = Gate(Limit(Bounds(1, 1), 0.0))
        await gate.enter(0)
        waiting = asyncio.ensure_future(gate.enter(1))
        await asyncio.sleep(0)
        gate.limit.drop()
        gate.pump()
        waiting.cancel()  # its turn has come, and it does not know yet
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert gate.limit.in_flight == 0
        await asyncio.wait_for(gate.enter(2), 1)

    run(scenario())


def test_a_pause_ends_without_another_request() -> None:
    async def scenario() -> None:
        now = asyncio.get_running_loop().time()
        gate = Gate(Limit(Bounds(4, 4), now))
        await gate.enter(0)
        gate.limit.end(now, now, limited=True, retry_after=0.1)
        assert await asyncio.wait_for(gate.enter(1), 5) == pytest.approx(0.1, abs=1)

    run(scenario())


def test_a_closed_gate_ends_all_waits() -> None:
    async def scenario() -> None:
        gate = Gate(Limit(Bounds(1, 1), 0.0))
        await gate.enter(0)
        waiting = asyncio.ensure_future(gate.enter(1))
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(Closed):
            await waiting
        with pytest.raises(Closed):
            await gate.enter(2)

    run(scenario())


def test_a_gate_says_how_long_the_limit_holds_its_requests() -> None:
    async def scenario() -> None:
        gate = Gate(Limit(Bounds(8, 8, requests_per_minute=0.2), asyncio.get_running_loop().time()))
        await gate.enter(0)
        assert gate.held == 0, "nothing waits"
        waiting = asyncio.ensure_future(gate.enter(1))
        await asyncio.sleep(0)
        assert gate.held == pytest.approx(300, abs=10)
        gate.close()
        assert gate.held == 0
        with pytest.raises(Closed):
            await waiting

    run(scenario())
