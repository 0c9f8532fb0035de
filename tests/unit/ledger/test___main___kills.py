"""Tests of what a kill costs, counted at the endpoint.

A killed harness costs no request. A killed gateway costs at most the requests that were under way.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import summary
from support.gateways import gateway, started
from support.ledger import TOKEN, Endpoint, counting, run, until

HARNESS = """
import asyncio, json, sys
port, items, samples, flight = map(int, sys.argv[1:5])
async def one(turns, number):
    async with turns:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"messages": [], "user": f"item {number}"}).encode()
        head = f"POST /model/v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer "
        head += f"{sys.argv[5]}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\\r\\n\\r\\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\\r\\n")[0])
        text = (await reader.readexactly(length)).decode()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {answer!r}")
        writer.close()
        return number, json.loads(text)["choices"][0]["message"]["content"]
async def main():
    turns = asyncio.Semaphore(flight)
    jobs = [one(turns, number) for number in range(items) for _ in range(samples)]
    print(json.dumps(await asyncio.gather(*jobs)))
asyncio.run(main())
"""
ITEMS, SAMPLES, FLIGHT = 10, 4, 8


def harness(port: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HARNESS, *map(str, (port, ITEMS, SAMPLES, FLIGHT)), TOKEN]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


async def whole(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    output, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    return [(number, text) for number, text in json.loads(output)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("killed", ["harness", "gateway", "both"])
def test_a_kill_costs_no_more_than_what_it_cuts(tmp_path: Path, killed: str, seed: int) -> None:
    """Kill three times at random moments, and let the fourth attempt end."""
    chance = random.Random(f"{killed} {seed}")
    needed, numbers = ITEMS * SAMPLES, itertools.count(1)
    answered = 0

    async def script(asked: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await counting(chance.uniform(0.01, 0.05), numbers)(asked, writer)
        answered += 1

    async def attempt(endpoint: Endpoint, last: bool) -> None:
        with gateway(tmp_path, endpoint) as process:
            popen, before = harness(process.port), len(endpoint.asked)
            if last:
                texts = await whole(popen)
                for number in range(ITEMS):
                    assert len({text for item, text in texts if item == number}) == SAMPLES
            else:
                goal = before + chance.randint(1, 10)
                await until(lambda: len(endpoint.asked) >= goal or popen.poll() is not None)
                if killed != "harness":
                    process.popen.kill()
                    await process.ended()
                popen.kill()
                await asyncio.to_thread(popen.communicate)
            if last or killed == "harness":
                process.parent_dies()
                assert await process.ended() == 0
            if last:
                assert process.summary["not_asked_again"] == 0

    async def scenario() -> None:
        endpoint = await started(script)
        for last in (False, False, False, True):
            await asyncio.to_thread(summary.wait_for_end, tmp_path / "gateway", time.sleep)
            await until(lambda: len(endpoint.asked) == answered)
            await attempt(endpoint, last)
        again = len(endpoint.asked) - needed
        assert again == 0 if killed == "harness" else again <= 3 * FLIGHT

    run(scenario())
