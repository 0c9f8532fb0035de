"""Tests of the journal that stores nothing."""

from __future__ import annotations

import asyncio

from snakeval.ledger.memory import Memory
from snakeval.ledger.records import Answer

KEY = bytes(16)


def test_memory_holds_an_answer_only_until_the_harness_has_it() -> None:
    given = Answer({"status": 200, "headers": []}, b"question", b"answer")

    async def write() -> None:
        memory = Memory()
        await memory.append(KEY, 0, given)
        assert memory.find(KEY, 0) == given
        memory.release(KEY, 0)
        assert memory.find(KEY, 0) is None

    asyncio.run(write())
