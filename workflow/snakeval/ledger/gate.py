"""The queue in which requests wait until the limit lets them go, oldest first."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from snakeval.ledger.limit import Limit


class Closed(Exception):
    """The gateway drains: what has not been sent is not sent any more."""


class Gate:
    """The queue before one endpoint."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ties = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return sum(not future.done() for _, _, future in self._queue)

    @property
    def held(self) -> float:
        """The seconds until the limit lets the next request go; 0 if none waits for a time."""
        if self._timer is None or not self.queued:
            return 0.0
        return max(0.0, self._timer.when() - asyncio.get_running_loop().time())

    async def enter(self, order: int) -> float:
        """Wait for a turn; lower *order* goes first. Return the seconds that it took.

        Raises:
            Closed: the gateway drains.
        """
        if self._closed:
            raise Closed
        loop = asyncio.get_running_loop()
        began, turn = loop.time(), loop.create_future()
        heapq.heappush(self._queue, (order, next(self._ties), turn))
        self.pump()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.limit.drop()
                self.pump()
            raise
        return loop.time() - began

    def pump(self) -> None:
        """Let go as many requests as the limit allows; call it after each end of a request."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            turn = self._queue[0][2]
            if turn.done():
                heapq.heappop(self._queue)
                continue
            now = loop.time()
            wait = self.limit.wait(now)
            if wait is None:
                return
            if wait > 0:
                self._timer = loop.call_later(wait, self.pump)
                return
            heapq.heappop(self._queue)
            self.limit.begin(now)
            turn.set_result(None)

    def close(self) -> None:
        """End the wait of all requests."""
        self._closed = True
        for _, _, turn in self._queue:
            if not turn.done():
                turn.set_exception(Closed())
        self._queue = []
