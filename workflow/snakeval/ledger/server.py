"""The side of the gateway that harnesses see: an HTTP/1.1 server of ``asyncio`` protocols.

A connection serves one request after another; bytes of the next request wait (RFC 9112, 9.3.2). The
server takes the end of a client's data for the end of the client: a harness that hangs up does not
receive its answer, and the journal must know that.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Callable

from snakeval.ledger import http
from snakeval.ledger.http import BadMessage, Head, Headers
from snakeval.ledger.pulse import Pulse, is_left

#: Unread bytes of a connection above which the server stops reading.
_AHEAD = 1 << 20
#: Of Linux; Python has no name for it.
_IP_FREEBIND = 15


@dataclass(frozen=True)
class Request:
    """A whole request of a harness; *target* is the path with its query.

    *secret* are parameters of the query that hold the key; they are no part of the target.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    secret: tuple[tuple[str, str], ...] = ()


Application = Callable[[Request, "Reply"], Awaitable[None]]


class Reply:
    """The answer to one request.

    Either one call of :meth:`send`, or :meth:`begin`, some :meth:`write` and :meth:`finish`. These
    return when the kernel has the bytes; if the client is gone, the task of the request is
    cancelled.
    """

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection, self._head = connection, head
        self._chunked = head.version == "HTTP/1.1"
        self._bodiless = head.first == "HEAD"
        #: Whether a byte of the answer was sent.
        self.started = False
        #: Whether the connection stays open.
        self.persistent = head.persistent

    async def send(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        headers = [
            pair for pair in headers if pair[0].lower() != "content-length" or self._bodiless
        ]
        if status >= 200 and status not in (204, 304) and not self._bodiless:
            headers.append(("Content-Length", str(len(body))))
        self._first(status, reason, headers, b"" if self._bodiless else body)
        await self._connection.flushed()

    async def begin(self, status: int, reason: str, headers: Headers) -> None:
        """Begin an answer of unknown length."""
        headers = [pair for pair in headers if pair[0].lower() != "content-length"]
        if self._chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            self.persistent = False
        self._first(status, reason, headers, b"")
        await self._connection.flushed()

    def _first(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        self.started = True
        if not self.persistent:
            headers = [*headers, ("Connection", "close")]
        elif self._head.version == "HTTP/1.0":
            headers = [*headers, ("Connection", "keep-alive")]
        self._connection.write(http.message(f"HTTP/1.1 {status} {reason}", headers, body))

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body."""
        if piece and not self._bodiless:
            self._connection.write(http.chunk(piece) if self._chunked else piece)
            await self._connection.flushed()

    async def finish(self) -> None:
        """End an answer of unknown length."""
        if self._chunked and not self._bodiless:
            self._connection.write(http.chunk(b""))
            await self._connection.flushed()

    def abort(self) -> None:
        """Break the connection, so that the harness sees that its answer is not whole."""
        self._connection.abort()


class Connection(asyncio.Protocol):
    """One connection of a harness."""

    def __init__(self, application: Application, open_now: set[Connection], pulse: Pulse) -> None:
        self._application, self._open, self._pulse = application, open_now, pulse
        self._reader = http.Reader()
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._empty: asyncio.Future[None] | None = None
        self._ended = self._served = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; an answer counts as passed on when no byte waits here."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the request whose client is gone."""
        self._end()
        self._open.discard(self)
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> None:
        """Close the connection: a client that sends no more is gone."""
        self._end()
        if self._task is not None:
            self._task.cancel()

    def _end(self) -> None:
        """Note the end; a client that has no answer yet, or sent half a request, gave up."""
        waits = self._task is not None or self._head is not None or len(self._reader)
        if not self._ended and (waits or not self._served):
            self._pulse.gave_up()
        self._ended = True

    def data_received(self, data: bytes) -> None:
        """Read requests; start the next one when the last is answered."""
        self._reader.feed(data)
        if self._task is None:
            self._proceed()
        elif len(self._reader) > _AHEAD and self._transport is not None:
            self._transport.pause_reading()

    def _proceed(self) -> None:
        try:
            if self._head is None and not self._begin():
                return
            piece = self._reader.take()
            if piece:
                self._body.append(piece)
        except BadMessage as error:
            self._refuse(error)
            return
        if self._reader.done and self._head is not None:
            head, body = self._head, b"".join(self._body)
            self._head, self._body = None, []
            request = Request(head.first, head.second, head.headers, body)
            self._task = asyncio.ensure_future(self._serve(request, Reply(self, head)))

    def _begin(self) -> bool:
        """Read a head; return whether it is there."""
        head = self._reader.head()
        if head is None:
            return False
        if head.third not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadMessage("not HTTP/1.1", 505)
        self._reader.expect(http.request_body(head))
        expects = http.tokens(http.values(head.headers, "expect"))
        if "100-continue" in expects and not self._reader.done and not len(self._reader):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._head = head
        return True

    def _refuse(self, error: BadMessage) -> None:
        text = str(error).encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        headers.append(("Connection", "close"))
        self.write(http.message(f"HTTP/1.1 {error.status} Bad Request", headers, text))
        if self._transport is not None:
            self._transport.close()

    async def _serve(self, request: Request, reply: Reply) -> None:
        self._served = True
        try:
            await self._application(request, reply)
        except BaseException:
            if not self._ended:
                self.abort()
            raise
        finally:
            self._task = None
        if self._transport is None or self._ended:
            return
        if not reply.persistent:
            self._transport.close()
            return
        self._transport.resume_reading()
        if len(self._reader):
            self._proceed()

    # --- the way out ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            if not self._ended and self._pulse.stood_still() and is_left(self._transport):
                self._end()  # the loop has not shown it yet
            self._transport.write(data)

    async def flushed(self) -> None:
        """Return when the kernel has all bytes that were written."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def resume_writing(self) -> None:
        """Wake the writer: no byte waits any more."""
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def abort(self) -> None:
        """Break the connection."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()


class Server:
    """Listens on addresses of this machine."""

    def __init__(self, application: Application, pulse: Pulse | None = None) -> None:
        self._application = application
        self._pulse = pulse or Pulse()
        self._listeners: list[asyncio.AbstractServer] = []
        self._open: set[Connection] = set()

    async def listen(self, address: str, port: int) -> int:
        """Listen on an address; return the port, which the kernel chooses if *port* is 0.

        Raises:
            OSError: the address or the port is not free.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(self._application, self._open, self._pulse),
            sock=_bound(address, port),
            backlog=1024,
        )
        self._listeners.append(listener)
        found: int = listener.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Listen no more, and break the connections that are open."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._open):
            connection.abort()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._none_open(), 1)

    async def _none_open(self) -> None:
        while self._open:
            await asyncio.sleep(0.01)


def _bound(address: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, which this machine may get only later.

    An engine makes its bridge when the first container starts (ip(7), ``IP_FREEBIND``).
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET and sys.platform == "linux":
            bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
