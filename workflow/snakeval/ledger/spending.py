"""Spends a gateway's part of its run's budget.

A request is sent if the gateway has taken more than it has spent and than the requests in flight
will probably cost. If it has not, it takes the next slice. If nothing is left, requests wait until
those in flight have ended, since they may cost less than expected; then the budget is used up. A
gateway thus exceeds what it took by no more than what was in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from snakeval.ledger import answers, pricing
from snakeval.ledger.budget import KINDS, MONEY, REQUESTS, TOKENS, WALL, Amounts, BudgetFile
from snakeval.ledger.gate import Closed
from snakeval.ledger.journal import JournalError
from snakeval.ledger.outcome import Outcome

#: Verdicts on tries that an endpoint refused before it did any work.
_REFUSED = frozenset({answers.LIMITED, answers.BUSY})
#: Verdicts on tries that reached the endpoint, and whose tokens it may have counted.
_UNKNOWN = frozenset(
    {answers.SOUND, answers.ERROR, answers.MALFORMED, answers.BROKEN, answers.LATE}
)
#: Seconds between two looks at the clocks of a run.
TICK = 5.0


class Spending:
    """The account of a gateway, which all its upstreams share.

    Args:
        budget: the file of the run.
        id: of the account, which is open.
        stop: receives the kinds that are used up, once. It ends the gateway.
        rates: money for an hour of what the run serves, by the name of its clock.
    """

    def __init__(
        self,
        budget: BudgetFile,
        id: str,
        stop: Callable[[list[str]], None],
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.budget, self.id = budget, id
        self.used: Amounts = dict.fromkeys(KINDS, 0.0)
        self._rates = dict(rates or {}) | ({WALL: 0.0} if WALL in budget.limits else {})
        self._kinds = [kind for kind in KINDS if kind in budget.limits]
        self._taken: Amounts = dict(budget.accounts[id].taken)
        self._kept: Amounts = {}
        self._stop = stop
        self._in_flight = self._ended = 0
        self._closed = False
        self._turn: asyncio.Lock | None = None
        self._change: asyncio.Event | None = None
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="budget")
        #: Whether the time of the run is over.
        self._is_late = False

    # --- before and after a request -------------------------------------------------------

    async def enter(self) -> None:
        """Wait until one more request may be sent.

        Raises:
            Closed: the gateway drains, or the budget is used up.
            JournalError: the budget's file cannot be written, or another process ended the
                account, so no answer may be passed on.
        """
        # Here, because in Python 3.9 it belongs to the loop that runs now.
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            while not self._closed:
                if self._allows():
                    self._in_flight += 1
                    return
                self._change = asyncio.Event()
                if not self._is_late and await self._take():
                    continue
                if self._allows():
                    continue
                if self._in_flight == 0:
                    self.close()
                    self._stop(self.budget.used_up())
                    break
                await self._change.wait()
        raise Closed

    def leave(self, cost: Mapping[str, float]) -> None:
        """Note that a request ended, and its cost."""
        self._in_flight -= 1
        self._ended += bool(cost)
        _add(self.used, cost)
        self._wake()

    def keep(self, cost: Mapping[str, float]) -> None:
        """Note a cost that is in the journal."""
        _add(self._kept, cost)

    def close(self) -> None:
        """Let no request begin any more."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._change is not None:
            self._change.set()

    def _expected(self, kind: str) -> float:
        """Return what the requests in flight will cost, if they cost as much as the others."""
        if kind == REQUESTS:
            return float(self._in_flight)
        return self._in_flight * self.used[kind] / self._ended if self._ended else 0.0

    def _allows(self) -> bool:
        return not (self._is_late or self._lacking())

    def _lacking(self) -> list[str]:
        """Return the kinds of which the gateway has not taken enough for one more request."""
        lacking = []
        for kind in self._kinds:
            expected = self.used[kind] + self._expected(kind)
            taken = self._taken.get(kind, 0.0)
            if (expected + 1 > taken) if kind == REQUESTS else (expected >= taken):
                lacking.append(kind)
        return lacking

    async def _take(self) -> bool:
        """Take the next slices; return whether there was something to take."""
        wanted = {}
        for kind in self._lacking():
            has = max(self._taken.get(kind, 0.0), self.used[kind])
            lacks = max(0.0, self.used[kind] + self._expected(kind) - has)
            wanted[kind] = lacks + self.budget.slice_of(kind)
        before, loop = self._taken, asyncio.get_running_loop()
        sums = dict(self.used), self._unkept()
        try:
            take = self.budget.take
            self._taken = await loop.run_in_executor(self._disk, take, self.id, *sums, wanted)
        except OSError as error:
            raise JournalError(f"{self.budget.path} cannot be written ({error.strerror})") from None
        if self.budget.accounts[self.id].has_ended:
            # It has no part of the budget any more, which says nothing of the budget.
            raise JournalError("the gateway stood still, and another one ended its account")
        return any(amount > before.get(kind, 0.0) for kind, amount in self._taken.items())

    def _unkept(self) -> Amounts:
        return {kind: self.used[kind] - self._kept.get(kind, 0.0) for kind in KINDS}

    # --- over time ------------------------------------------------------------------------

    async def tick(self) -> None:
        """Advance the clocks of the run, as long as the gateway serves.

        Raises:
            OSError: the budget's file cannot be written.
        """
        loop = asyncio.get_running_loop()
        while self._rates and not self._closed:
            await loop.run_in_executor(self._disk, self.budget.tick, self._rates)
            if WALL in self.budget.limits and not self.budget.free(WALL):
                self._is_late = True
                self._wake()
            await asyncio.sleep(TICK)

    def end(self) -> None:
        """End the account, so that the rest of its slices comes back.

        Raises:
            OSError: the budget's file cannot be written.
        """
        self._disk.shutdown()
        self.budget.end(self.id, self.used)


def cost_of(outcome: Outcome, body: bytes, prices: Mapping[str, Any]) -> Amounts:
    """Return the cost of one try.

    An answer without a count of its tokens costs as many as its request allows.
    """
    if not outcome.sent or outcome.verdict in _REFUSED:
        return {}
    tokens: dict[str, int | None] = {**outcome.facts.tokens}
    # Some servers report zeros in place of a count, and some count only the prompt of a text.
    lacks_text = bool(outcome.facts.finish) and tokens.get("completion") is None
    is_counted = any(tokens.values()) and not lacks_text
    if not is_counted and (outcome.verdict in _UNKNOWN or 200 <= outcome.status < 300):
        tokens["completion"] = pricing.most_tokens(body)
    total = (tokens.get("prompt") or 0) + (tokens.get("completion") or 0)
    paid = pricing.money(tokens, prices) or 0.0
    return {MONEY: paid, TOKENS: float(total), REQUESTS: 1.0}


def _add(total: Amounts, more: Mapping[str, float]) -> None:
    for kind, amount in more.items():
        total[kind] = total.get(kind, 0.0) + amount


class Paid:
    """How the requests of one upstream are paid, by its prices; free without a budget."""

    def __init__(self, spending: Spending | None, prices: Mapping[str, Any]) -> None:
        self._spending, self._prices = spending, prices

    async def enter(self) -> None:
        """Wait until the budget allows one more request; see :meth:`Spending.enter`."""
        if self._spending is not None:
            await self._spending.enter()

    def leave(self, outcome: Outcome | None, body: bytes, spent: Amounts) -> None:
        """Note that a try ended, and add its cost to *spent*, which its request cost so far."""
        if self._spending is None:
            return
        cost = {} if outcome is None else cost_of(outcome, body, self._prices)
        self._spending.leave(cost)
        _add(spent, cost)
        if outcome is not None and outcome.verdict == answers.SOUND:
            self._spending.keep(spent)

    def close(self) -> None:
        """Let no request begin any more."""
        if self._spending is not None:
            self._spending.close()


#: Pays nothing.
FREE = Paid(None, {})
