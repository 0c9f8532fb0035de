"""Asks an endpoint for one answer: waits for a turn, tries, judges, and tries again."""

from __future__ import annotations

import asyncio
from typing import Callable

from snakeval.ledger import answers, http
from snakeval.ledger.client import Call, Client
from snakeval.ledger.connection import Broken, Connection, TimedOut
from snakeval.ledger.events import Events
from snakeval.ledger.faults import Faults
from snakeval.ledger.gate import Closed, Gate
from snakeval.ledger.http import Head, Headers
from snakeval.ledger.outcome import Outcome, Passing, hide, outcome_of, problem, told
from snakeval.ledger.records import Answer
from snakeval.ledger.retries import Patience, Pauses, Retries, retry_after
from snakeval.ledger.spending import FREE, Paid

#: How many redirects are followed.
_REDIRECTS = 5
#: Verdicts on answers of an endpoint that fails.
_WRONG = (answers.FAILED, answers.AWAY, answers.ERROR, answers.MALFORMED)
#: A shorter key may be a word of an answer.
_SHORTEST = 8


class Asker:
    """Asks one endpoint.

    Args:
        client: the connections to it; *gate* limits how many requests are under way.
        patience: how long to try; *timeout* is the time of one try in seconds.
        note: receives the cause of each try that did not succeed, for the summary.
        faults: receives what the endpoint said in each of these.
        key: of the endpoint. Harnesses never see it, also if the endpoint repeats it in an error.
        paid: counts what the requests cost of the run's budget.
        exact: whether the harness reads only answers of the exact form; see ``forms.defect``.
    """

    def __init__(
        self,
        client: Client,
        gate: Gate,
        patience: Patience,
        timeout: float,
        note: Callable[[str], None] = lambda cause: None,
        key: str = "",
        faults: Faults | None = None,
        paid: Paid = FREE,
        exact: bool = False,
    ) -> None:
        self.client, self.gate = client, gate
        self._patience, self._timeout, self._note = patience, timeout, note
        self.faults = faults or Faults()
        self.pauses = Pauses()
        self._paid, self._exact = paid, exact
        self._key = key if len(key) >= _SHORTEST else ""
        self._closing: asyncio.Event | None = None
        self._woken: asyncio.Event | None = None
        #: Requests under way at the endpoint.
        self.in_flight = 0

    def close(self) -> None:
        """Let no request begin any more; those under way continue."""
        self.gate.close()
        self._paid.close()
        self._closed().set()

    def wake(self) -> None:
        """End the pauses of all requests: the endpoint is well again."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.set()

    def _closed(self) -> asyncio.Event:
        if self._closing is None:
            self._closing = asyncio.Event()
        return self._closing

    async def ask(self, call: Call, order: int, passing: Passing, limited: bool = True) -> Outcome:
        """Return the answer to *call*, or what the harness receives instead.

        *limited* requests wait for their turn in *order*. Pieces of a stream go to *passing* while
        they come.

        Raises:
            Closed: the gateway drains, and the request is not under way.
        """
        loop = asyncio.get_running_loop()
        retries, tries = Retries(self._patience, loop.time()), 0
        spent: dict[str, float] = {}
        while True:
            waited = await self._enter(order) if limited else 0.0
            if waited > 0.001:
                retries.waits["limit"] = retries.waits.get("limit", 0.0) + waited
            tries += 1
            outcome = await self._counted(call, passing, limited, spent)
            outcome.tries, outcome.waits, outcome.spent = tries, retries.waits, spent
            if outcome.verdict == answers.SOUND:
                self.look(call.method, call.target, outcome.headers, outcome.body)
                return outcome
            if outcome.verdict == answers.PASSED:
                self._fault(call, outcome)
                return outcome
            self._note(outcome.verdict)
            if passing.started:
                outcome.cut = True
                self._fault(call, outcome)
                return outcome
            pause = retries.pause(outcome.verdict, loop.time(), outcome.retry_after)
            self._fault(call, outcome, ended=pause is None)
            if pause is None:
                return told(outcome)
            with self.pauses.of(outcome.verdict, pause):
                await self._pause(pause)

    def look(self, method: str, target: str, headers: Headers, body: bytes) -> None:
        """Note what some harnesses cannot read in a sound answer, new or of the journal."""
        self.faults.look(self.client.base, method, target, headers, body)

    def look_refused(self, method: str, target: str, refusal: Answer) -> None:
        """Note what the endpoint said when it refused a request that the journal now refuses."""
        self._fault(Call(method, target, [], b""), outcome_of(refusal))

    def _fault(self, call: Call, outcome: Outcome, ended: bool = True) -> None:
        self.faults.note(self.client.base, call, outcome, ended=ended)

    async def _pause(self, seconds: float) -> None:
        self._woken = self._woken or asyncio.Event()
        waits = [asyncio.ensure_future(e.wait()) for e in (self._closed(), self._woken)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        if self._closed().is_set():
            raise Closed

    async def _enter(self, order: int) -> float:
        """Wait for a turn, and until the budget allows a request."""
        waited = await self.gate.enter(order)
        try:
            await self._paid.enter()
        except BaseException:
            self.gate.limit.drop()
            self.gate.pump()
            raise
        return waited

    async def _counted(
        self, call: Call, passing: Passing, limited: bool, spent: dict[str, float]
    ) -> Outcome:
        """Try once, let the limit learn from it, and add its cost to *spent*."""
        loop, limit, patience = asyncio.get_running_loop(), self.gate.limit, self._patience.deadline
        began, outcome = loop.time(), None
        self.in_flight += 1
        try:
            outcome = await self._try(call, passing)
            if outcome.verdict == answers.BROKEN and outcome.first < 0:
                # The endpoint had closed the connection meanwhile, and has not seen the request.
                outcome = await self._try(call, passing)
        finally:
            self.in_flight -= 1
            if limited:
                self._paid.leave(outcome, call.body, spent)
            if limited and outcome is None:
                limit.drop()
            elif limited and outcome is not None:
                limit.end(
                    loop.time(),
                    began,
                    failed=outcome.verdict in (answers.BUSY, answers.LATE, answers.BROKEN),
                    limited=outcome.verdict == answers.LIMITED,
                    wrong=outcome.verdict in _WRONG,
                    # A wait beyond the patience is no pause: no request waits for its end.
                    retry_after=outcome.retry_after * (outcome.retry_after <= patience),
                    tokens=sum(outcome.facts.tokens.get(n, 0) for n in ("prompt", "completion")),
                )
            self.gate.pump()
        return outcome

    async def _try(self, call: Call, passing: Passing) -> Outcome:
        loop = asyncio.get_running_loop()
        began, connection, timer, sent = loop.time(), None, None, False
        try:
            connection = await self.client.connection()
            sent = True
            late = TimedOut(f"no whole answer within {self._timeout:g} s")
            timer = loop.call_later(self._timeout, connection.abort, late)
            head = await self._head(call, connection)
            first = loop.time() - began
            outcome = await self._body(call, head, connection, passing, began)
            outcome.first, outcome.whole = outcome.first or first, loop.time() - began
            self.client.keep(connection)
            connection = None
        except Broken as error:
            outcome = problem(502, str(error))
            outcome.verdict = answers.LATE if isinstance(error, TimedOut) else answers.BROKEN
            outcome.first = -1.0 if error.stale else 0.0
            sent = sent and not error.stale
        finally:
            if timer is not None:
                timer.cancel()
            if connection is not None:
                connection.abort(Broken("the try ended"))
        outcome.sent = sent
        return outcome

    async def _head(self, call: Call, connection: Connection) -> Head:
        """Ask, and follow redirects within the endpoint's origin.

        A ``Location`` would lead the harness past the gateway (RFC 9110, 15.4).
        """
        head = await self.client.ask(call, connection)
        for _ in range(_REDIRECTS):
            target = self.client.redirected(call, head)
            if not target:
                break
            while await connection.piece():
                pass
            if not connection.reusable:
                break
            call = Call(call.method, target, call.headers, call.body)
            head = await self.client.ask(call, connection)
        return head

    async def _body(
        self,
        call: Call,
        head: Head,
        connection: Connection,
        passing: Passing,
        began: float,
    ) -> Outcome:
        status, reason = int(head.second), self._keyless(head.third)
        headers = [(name, self._keyless(text)) for name, text in http.end_to_end(head.headers)]
        outcome = Outcome(status, reason, headers, b"", retry_after=retry_after(headers))
        if status == 200 and answers.media_type(headers) == "text/event-stream":
            await self._stream(call, outcome, connection, passing, began)
            return outcome
        pieces = []
        while True:
            piece = await connection.piece()
            if not piece:
                break
            pieces.append(piece)
        outcome.body = b"".join(pieces)
        outcome.verdict, outcome.facts = answers.judge(
            status, headers, outcome.body, call.target, call.body, self._exact
        )
        hide(outcome, self._key)
        return outcome

    def _keyless(self, text: str) -> str:
        return text.replace(self._key, "*" * len(self._key)) if self._key else text

    async def _stream(
        self,
        call: Call,
        outcome: Outcome,
        connection: Connection,
        passing: Passing,
        began: float,
    ) -> None:
        """Pass on a stream, except its end: that waits for the journal.

        The first whole event decides whether the stream is passed on at all: an error there is
        tried again.
        """
        events, decoder = Events(), answers.decoder_of(answers.coding(outcome.headers))
        pieces: list[bytes] = []
        waiting: list[bytes] = []
        while True:
            piece = await connection.piece()
            if not piece:
                break
            pieces.append(piece)
            waiting.append(piece)
            if decoder is not None:
                events.feed(decoder.decompress(piece))
            if not outcome.first and (events.begun or decoder is None):
                outcome.first = asyncio.get_running_loop().time() - began
            if (events.begun or decoder is None) and not events.ended and events.error is None:
                if not passing.started:
                    passing.begin(outcome.status, outcome.reason, outcome.headers)
                for held in waiting:
                    passing.piece(held)
                waiting = []
        events.close()
        outcome.body = b"".join(pieces)
        outcome.verdict, outcome.facts = answers.judge_stream(events, call.body, call.target)
        if not (passing.started and answers.coding(outcome.headers)):
            hide(outcome, self._key)
