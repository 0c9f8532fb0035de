"""Simulated endpoints for ``limits.py``, and a loop whose clock jumps.

Each endpoint answers by ``await answer(number)``, and takes its time by ``asyncio.sleep``. The
same endpoint runs in a simulation without waiting, and behind a real socket.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Status and ``Retry-After`` in seconds, or nothing.
Answer = tuple[int, float]
#: Tokens of an answer: a log-normal length of this median.
TOKENS = 50


class Endpoint:
    """A simulated endpoint.

    Attributes:
        answered: how many 200s it computed, which is what an endpoint charges for.
        refused: how many 429s and 503s it sent.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.answered = self.refused = 0

    @property
    def now(self) -> float:
        """The time of the running loop."""
        return asyncio.get_running_loop().time()

    def tokens(self) -> int:
        """Return the length of the next answer."""
        return max(1, round(TOKENS * math.exp(self.random.gauss(0, 0.5))))

    async def answer(self, number: int) -> Answer:
        """Answer a request."""
        raise NotImplementedError


class Engine(Endpoint):
    """An engine that computes a token of each request of its batch in one step.

    A step takes 10 ms and 0.16 ms for each request. Requests beyond *slots* wait.
    """

    def __init__(self, seed: int = 0, slots: int = 64) -> None:
        super().__init__(seed)
        self.slots = slots
        self._batch: list[list[Any]] = []
        self._waiting: deque[list[Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    def step(self, count: int) -> float:
        """Return the seconds of a step with *count* requests."""
        return 0.010 + 0.00016 * count

    async def answer(self, number: int) -> Answer:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append([self.tokens(), done])
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        await done
        return 200, 0.0

    async def _run(self) -> None:
        while self._batch or self._waiting:
            while self._waiting and len(self._batch) < self.slots:
                self._batch.append(self._waiting.popleft())
            await asyncio.sleep(self.step(len(self._batch)))
            left = []
            for entry in self._batch:
                entry[0] -= 1
                if entry[1].done():
                    continue  # the client hung up
                if entry[0] > 0:
                    left.append(entry)
                else:
                    self.answered += 1
                    entry[1].set_result(None)
            self._batch = left


class Doubling(Engine):
    """An engine whose steps take twice as long after half of 1,000 requests."""

    def step(self, count: int) -> float:
        return super().step(count) * (2 if self.answered >= 500 else 1)


class Falling(Engine):
    """An engine without slots, whose throughput falls past 64 requests: it swaps memory."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, slots=10_000)

    def step(self, count: int) -> float:
        return super().step(count) * max(1.0, count / 64) ** 2


class Metered(Endpoint):
    """A hosted API: 20 requests a second with a burst of 20, and answers of about 0.5 s."""

    def __init__(
        self, seed: int = 0, rate: float = 20, burst: float = 20, says: bool = True
    ) -> None:
        super().__init__(seed)
        self.rate, self.burst, self.says = rate, burst, says
        self._left, self._at = burst, 0.0

    async def answer(self, number: int) -> Answer:
        self._left = min(self.burst, self._left + (self.now - self._at) * self.rate)
        self._at = self.now
        if self._left < 1:
            self.refused += 1
            return 429, math.ceil((1 - self._left) / self.rate) if self.says else 0.0
        self._left -= 1
        await asyncio.sleep(self.tokens() * 0.01)
        self.answered += 1
        return 200, 0.0


class Windowed(Endpoint):
    """A hosted API that counts 200 requests in each fixed window of 10 s."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._window, self._count = -1, 0

    async def answer(self, number: int) -> Answer:
        window = int(self.now / 10)
        if window != self._window:
            self._window, self._count = window, 0
        if self._count >= 200:
            self.refused += 1
            return 429, (window + 1) * 10 - self.now
        self._count += 1
        await asyncio.sleep(self.tokens() * 0.01)
        self.answered += 1
        return 200, 0.0


class OneSlot(Endpoint):
    """An engine that computes one answer at a time, in 2 s, first come first served."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._turn: asyncio.Lock | None = None

    async def answer(self, number: int) -> Answer:
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            await asyncio.sleep(2.0)
            self.answered += 1
        return 200, 0.0


@dataclass(frozen=True)
class Case:
    """An endpoint, the requests to it, and the bound of its ratio."""

    name: str
    endpoint: Callable[[int], Endpoint]
    requests: int = 1000
    timeout: float = 300.0
    bound: float = 1.1
    best: int = 64


CASES = [
    Case("batching engine", Engine),
    Case("hidden 20/s", Metered, best=16),
    Case("latency doubles", Doubling),
    Case("falls past 64", Falling, bound=1.5),
    Case("no Retry-After", lambda seed: Metered(seed, says=False), best=16),
    Case("fixed window", Windowed),
    Case("one slot", OneSlot, requests=200, timeout=30.0, best=4),
]


class _Jump(selectors.SelectSelector):
    """A selector that does not wait: it moves the clock to the next event.

    The clock does not begin at 0, as that of a real loop does not.
    """

    clock = 10_000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation waits for something that never comes")
        self.clock += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, so that an hour takes a second."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.clock


async def serve(endpoint: Endpoint) -> None:
    """Serve an endpoint until standard input ends; print its port, and what it answered."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            length = 0
            while (text := await reader.readline()) not in (b"\r\n", b""):
                if text.lower().startswith(b"content-length:"):
                    length = int(text.split(b":")[1])
            body = await reader.readexactly(length)
            status, after = await endpoint.answer(int(body)) if head else (0, 0.0)
            answer = b'{"choices": [{"message": {"content": "x"}}]}'
            lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
            lines += [f"Content-Length: {len(answer)}"]
            lines += [f"Retry-After: {after:.3f}"] if after else []
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer)

    server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(endpoint.answered, endpoint.refused)


if __name__ == "__main__":
    chosen = next(case for case in CASES if case.name == sys.argv[1])
    asyncio.run(serve(chosen.endpoint(int(sys.argv[2]))))
