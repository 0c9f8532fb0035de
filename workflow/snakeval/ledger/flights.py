"""The way of a request: a slot, then the journal, a flight under way, or a new flight.

A flight is one request at the endpoint. It belongs to a slot and not to a harness's connection: if
the harness hangs up, the flight continues, its answer is kept, and the next equal request joins it
or receives its answer. An answer is in the journal before its last byte is passed on.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Callable

from snakeval.ledger import answers
from snakeval.ledger.asking import Asker
from snakeval.ledger.client import Call
from snakeval.ledger.counts import Counts
from snakeval.ledger.gate import Closed
from snakeval.ledger.http import Headers
from snakeval.ledger.journal import Journal, JournalError
from snakeval.ledger.losses import GIVEN_UP, REFUSED, cause_of
from snakeval.ledger.memory import Memory
from snakeval.ledger.outcome import Outcome, Passing, answer_of, content_of, meta_of, problem
from snakeval.ledger.records import Answer
from snakeval.ledger.server import Reply, Request
from snakeval.ledger.slots import Slots, key_of

#: Routes that ask no model. They do not wait for a turn, and are counted apart.
HELPERS = ("/tokenize", "/detokenize", "/tokenizer_info", "/count_tokens")

#: Turns a request and its slot into what the endpoint receives.
Prepare = Callable[[Request, int], Call]


class Flight(Passing):
    """One request under way, and what came of it so far."""

    def __init__(self, task_of: Callable[[Flight], Any]) -> None:
        self.started = False
        self.head: tuple[int, str, Headers] | None = None
        self.pieces: list[bytes] = []
        self.outcome: Outcome | None = None
        #: The part of the outcome that the journal stores besides its body.
        self.meta: dict[str, Any] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.task = asyncio.ensure_future(task_of(self))

    def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Pass on the head of a stream."""
        self.started = True
        self.head = status, reason, headers
        self._change()

    def piece(self, piece: bytes) -> None:
        """Pass on a piece of a stream."""
        self.pieces.append(piece)
        self._change()

    def end(self, outcome: Outcome) -> None:
        """Pass on the rest."""
        self.outcome = outcome
        self._change()

    def _change(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def deliver(self, reply: Reply) -> Outcome:
        """Send to a harness what came and what comes; return the outcome."""
        passed = 0
        while True:
            if self.head is not None and not reply.started:
                await reply.begin(*self.head)
            elif passed < len(self.pieces):
                passed += 1
                await reply.write(self.pieces[passed - 1])
            elif self.outcome is not None:
                break
            else:
                change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(change)
                await change
        outcome = self.outcome
        if not reply.started:
            await reply.send(outcome.status, outcome.reason, outcome.headers, outcome.body)
        elif outcome.cut:
            reply.abort()
        else:
            await reply.write(outcome.body[sum(map(len, self.pieces)) :])
            await reply.finish()
        return outcome


class Flights:
    """All requests of one upstream.

    Args:
        journal: the answers that are kept.
        asker: asks the endpoint; None if there is none, and the journal alone answers.
        prepare: makes what the endpoint receives.
        fatal: receives the reason why no answer may be passed on any more.
    """

    def __init__(
        self,
        journal: Journal | Memory,
        asker: Asker | None,
        prepare: Prepare,
        counts: Counts,
        fatal: Callable[[str], None],
    ) -> None:
        self.journal, self.asker, self.counts = journal, asker, counts
        self._prepare, self._fatal = prepare, fatal
        self._slots = Slots()
        self._flights: dict[tuple[bytes, int], Flight] = {}
        self._orders = itertools.count()
        self._draining = False

    @property
    def under_way(self) -> int:
        """How many flights have not ended."""
        return len(self._flights)

    def drain(self) -> None:
        """Refuse new requests, and let no request begin that the endpoint has not received."""
        self._draining = True
        if self.asker is not None:
            self.asker.close()

    def abort(self) -> None:
        """End all flights at once."""
        for flight in self._flights.values():
            flight.task.cancel()

    def conclude(self) -> None:
        """Settle the counts, and note which stored answers no harness asked for this time."""
        self.counts.losses.settle(self._slots.taken())
        if isinstance(self.journal, Journal):
            self.journal.note_unused(self._slots.number)

    async def serve(self, request: Request, reply: Reply) -> None:
        """Answer a request; its target begins behind the upstream's prefix."""
        helper = request.method != "POST" or request.target.partition("?")[0].endswith(HELPERS)
        if helper:
            self.counts.others += 1
        else:
            self.counts.requests += 1
        if self._draining:
            await _send(reply, problem(503, "the gateway drains: its evaluation has ended"))
        elif request.method != "POST":
            await self._look(request, reply)
        else:
            await self._answer(request, reply, helper)

    async def _answer(self, request: Request, reply: Reply, helper: bool) -> None:
        key = key_of(request.method, request.target, request.body, request.headers)
        slot, again = self._slots.take(key)
        received, cause = False, GIVEN_UP
        try:
            kept = self.journal.find(key, slot)
            refusal = self.journal.refusal(key) if kept is None else None
            if refusal is not None:
                await replay(reply, refusal)
                cause = REFUSED
                self.counts.refused(key)
                if self.asker is not None:
                    self.asker.look_refused(request.method, request.target, refusal)
            elif kept is not None:
                self.counts.wanted_again += not again
                await replay(reply, kept)
                received = True
                self.counts.replayed += 1
                if self.asker is not None:
                    self.asker.look(request.method, request.target, *content_of(kept))
                if not helper:
                    free = self.journal.is_free(key, slot)
                    self.counts.received(kept.meta, key, slot, is_free=free)
            elif self.asker is None:
                await self._miss(request, key, slot, reply)
            else:
                cause = await self._fly(request, key, slot, reply, helper)
                received = not cause
        finally:
            if received:
                self.journal.release(key, slot)
                self.counts.losses.answer(key, slot)
            else:
                # Tokenizers are often missing, and a draining gateway has no harness.
                asks_nothing = helper or self._draining
                self.counts.losses.lose(key, slot, "" if asks_nothing else cause or GIVEN_UP)
                self._slots.give_back(key, slot)

    async def _fly(
        self, request: Request, key: bytes, slot: int, reply: Reply, helper: bool
    ) -> str:
        """Join the flight of a slot, or begin it; return why the slot has no answer, or nothing."""
        flight = self._flights.get((key, slot))
        if flight is None:
            flight = Flight(lambda new: self._ask(new, request, key, slot, not helper))
            self._flights[key, slot] = flight
        else:
            self.counts.joined += 1
        outcome = await flight.deliver(reply)
        if outcome.verdict != answers.SOUND:
            self.counts.failed += 1
            return cause_of(outcome)
        self.counts.asked += 1
        if not helper:
            self.counts.received(flight.meta or meta_of(outcome), key, slot)
        return ""

    async def _ask(
        self, flight: Flight, request: Request, key: bytes, slot: int, limited: bool
    ) -> None:
        assert self.asker is not None
        arrived = time.time()
        outcome = None
        try:
            call = self._prepare(request, slot)
            outcome = await self.asker.ask(call, next(self._orders), flight, limited)
            if outcome.verdict == answers.SOUND:
                answer = answer_of(request, outcome, arrived, call)
                flight.meta = answer.meta
                await self.journal.append(key, slot, answer)
            elif outcome.verdict == answers.PASSED and answers.is_refusal(
                outcome.status, outcome.headers, outcome.body
            ):
                # The refusal belongs to all equal requests, so it needs no slot.
                answer = answer_of(request, outcome, arrived, call)
                await self.journal.append_refusal(key, answer)
        except Closed:
            outcome = problem(503, "the gateway drains: its evaluation has ended")
        except JournalError as error:
            # An answer that is not kept would be paid for again, so the attempt ends here.
            outcome = problem(502, str(error))
            outcome.cut = True
            self._fatal(str(error))
        finally:
            del self._flights[key, slot]
            flight.end(outcome or _ended())

    async def _miss(self, request: Request, key: bytes, slot: int, reply: Reply) -> None:
        named = self.counts.miss(request.method, request.target, request.body, (key, slot))
        text = f"offline, and the journal has no answer to {named}"
        await _send(reply, problem(400, text, "offline"))

    async def _look(self, request: Request, reply: Reply) -> None:
        """Answer a request that reads (GET): by the endpoint, or offline by the latest answer."""
        key = key_of(request.method, request.target, request.body, request.headers)
        if self.asker is None:
            kept = self.journal.latest(key)
            if kept is None:
                await self._miss(request, key, 0, reply)
            else:
                await replay(reply, kept)
            return
        call, arrived = self._prepare(request, 0), time.time()
        try:
            outcome = await self.asker.ask(call, 0, Passing(), limited=False)
            if outcome.verdict == answers.SOUND:
                answer = answer_of(request, outcome, arrived, call)
                await self.journal.append_latest(key, answer)
        except Closed:
            outcome = problem(503, "the gateway drains: its evaluation has ended")
        except JournalError as error:
            self._fatal(str(error))
            reply.abort()
            return
        await _send(reply, outcome)


async def replay(reply: Reply, answer: Answer) -> None:
    """Send an answer of the journal."""
    meta = answer.meta
    await reply.send(meta["status"], meta["reason"], *content_of(answer))


async def _send(reply: Reply, outcome: Outcome) -> None:
    await reply.send(outcome.status, outcome.reason, outcome.headers, outcome.body)


def _ended() -> Outcome:
    outcome = problem(502, "the gateway ended", "ended")
    outcome.cut = True
    return outcome
