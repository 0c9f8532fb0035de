"""One connection to an endpoint: it sends a request, and reads the answer as it comes.

Source: RFC 9112.
"""

from __future__ import annotations

import asyncio

from snakeval.ledger import http
from snakeval.ledger.http import BadMessage, Head


class Broken(Exception):
    """No whole answer came.

    Attributes:
        stale: whether a connection that was kept open had ended before the request.
    """

    def __init__(self, text: str, stale: bool = False) -> None:
        super().__init__(text)
        self.stale = stale


class TimedOut(Broken):
    """The answer took longer than a try may take."""


class Connection(asyncio.Protocol):
    """One connection to an endpoint."""

    def __init__(self) -> None:
        self._reader = http.Reader()
        self._transport: asyncio.Transport | None = None
        self._change: asyncio.Future[None] | None = None
        self._why: Broken | None = None
        self._received = False
        self._persistent = False
        #: How many answers came over this connection.
        self.answers = 0

    # --- what the event loop calls --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Add bytes of the answer."""
        self._received = True
        self._reader.feed(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that no more bytes come."""
        if self._why is None:
            text = "the endpoint closed the connection" + (f" ({exc})" if exc else "")
            stale = self.answers > 0 and not self._received
            self._why = Broken(text, stale=stale)
        self._wake()

    def _wake(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    async def _changed(self) -> None:
        self._change = asyncio.get_running_loop().create_future()
        await self._change

    # --- one exchange ---------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether the connection is open and the last answer was whole."""
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._why is None
            and not len(self._reader)
        )

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of an open connection."""
        assert self._transport is not None
        return self._transport

    def send(self, data: bytes) -> None:
        """Send a request."""
        self._received = False
        self.transport.write(data)

    async def head(self, method: str) -> Head:
        """Return the head of the answer; interim answers (1xx) are passed over.

        Raises:
            Broken: the connection ended, or what came is no HTTP.
        """
        while True:
            try:
                head = self._reader.head()
                if head is not None:
                    if not (head.first.startswith("HTTP/1.") and head.second.isdigit()):
                        raise BadMessage(f"no status line: {head.first[:40]!r}")
                    if method == "CONNECT" and head.second.startswith("2"):
                        return head
                    if len(head.second) != 3:
                        raise BadMessage(f"no status: {head.second[:40]!r}")
                    if head.second[0] != "1":
                        self._persistent = head.persistent
                        self._reader.expect(http.response_body(head, method))
                        return head
                    continue
            except BadMessage as error:
                self.abort(Broken(f"the endpoint sent no valid HTTP: {error}"))
                raise Broken(f"the endpoint sent no valid HTTP: {error}") from None
            if self._why is not None:
                raise self._why
            await self._changed()

    async def piece(self) -> bytes:
        """Return the next bytes of the body; none at its end.

        Raises:
            Broken: the connection ended before the body was whole.
        """
        while True:
            try:
                piece = self._reader.take()
            except BadMessage as error:
                self.abort(Broken(f"the endpoint sent no valid HTTP: {error}"))
                raise Broken(f"the endpoint sent no valid HTTP: {error}") from None
            if piece:
                return piece
            if self._reader.done:
                return b""
            if self._why is not None:
                if not isinstance(self._why, TimedOut) and self._reader.close():
                    return b""
                raise self._why
            await self._changed()

    def abort(self, why: Broken) -> None:
        """Close the connection at once; the task that waits for it fails with *why*."""
        if self._why is None:
            self._why = why
        self.transport.abort()
        self._wake()

    @property
    def reusable(self) -> bool:
        """Whether the answer is whole, and both sides keep the connection open."""
        return self._reader.done and self._persistent and self.usable

    def release(self) -> bool:
        """End an exchange; return whether the connection can serve another one."""
        self.answers += 1
        if not self.reusable:
            self.transport.abort()
        return self.reusable
