"""The side of the gateway that endpoints see: an HTTP/1.1 client of ``asyncio`` protocols.

It keeps connections open, passes proxies and TLS (``routes.py``), and gives out the pieces of a
body as they come. It neither retries nor decompresses. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from typing import Any

from snakeval.ledger import http
from snakeval.ledger.http import BadMessage, Head, Headers
from snakeval.ledger.routes import Origin, Route

#: Seconds to connect, including a proxy and TLS.
CONNECT_SECONDS = 15.0


class Broken(Exception):
    """No whole answer came.

    Attributes:
        connected: whether the request was sent, so that the endpoint may have worked on it.
        stale: whether a connection that was kept open had ended before the request.
    """

    def __init__(self, text: str, connected: bool = True, stale: bool = False) -> None:
        super().__init__(text)
        self.connected, self.stale = connected, stale


class TimedOut(Broken):
    """The answer took longer than a try may take."""


@dataclass(frozen=True)
class Call:
    """A request as the endpoint receives it; *target* is the path with its query.

    *changes* are the members of the JSON body that differ from what the harness sent.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    changes: dict[str, Any] = field(default_factory=dict)


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
            text = (
                f"the endpoint closed the connection ({exc})"
                if exc
                else ("the endpoint closed the connection")
            )
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
        """Close the connection at once; whoever waits for it fails with *why*."""
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


class Client:
    """Asks one endpoint, over as many connections as there are requests at once."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._idle: list[Connection] = []

    async def ask(self, call: Call, connection: Connection) -> Head:
        """Send a request; return the head of its answer.

        Raises:
            Broken: the connection ended.
        """
        target, headers = call.target, [("Host", self.route.origin.authority), *call.headers]
        if self.route.absolute_form:
            target = f"{self.route.origin.scheme}://{self.route.origin.authority}{target}"
            if self.route.proxy is not None and self.route.proxy.authorization:
                headers.append(("Proxy-Authorization", self.route.proxy.authorization))
        if call.body or call.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(call.body))))
        connection.send(http.message(f"{call.method} {target} HTTP/1.1", headers, call.body))
        return await connection.head(call.method)

    async def connection(self) -> Connection:
        """Return a connection that was kept open, or a new one.

        Raises:
            Broken: no connection, no proxy or no TLS.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        try:
            return await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
        except asyncio.TimeoutError:
            text = f"no connection to {self._where()} within {CONNECT_SECONDS:.0f} s"
            raise TimedOut(text, connected=False) from None
        except ssl.SSLError as error:
            text = f"no TLS with {self._where()} ({error.reason or error})"
            raise Broken(text, connected=False) from None
        except OSError as error:
            # asyncio's own texts repeat the address.
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno) if known else error.strerror or error
            text = f"no connection to {self._where()} ({reason})"
            raise Broken(text, connected=False) from None

    def _where(self) -> str:
        route = self.route
        through = f" through the proxy {route.proxy.origin.authority}" if route.proxy else ""
        return (route.origin.socket or route.origin.authority) + through

    async def _connect(self) -> Connection:
        route = self.route
        if route.proxy is None:
            return await _open(route.origin, route.tls)
        connection = await _open(route.proxy.origin, route.proxy_tls)
        return connection if route.absolute_form else await self._tunnel(connection)

    async def _tunnel(self, connection: Connection) -> Connection:
        """Ask the proxy for a tunnel (RFC 9110, 9.3.6), and begin TLS in it."""
        route, loop = self.route, asyncio.get_running_loop()
        authority = route.origin.full
        headers = [("Host", authority)]
        if route.proxy is not None and route.proxy.authorization:
            headers.append(("Proxy-Authorization", route.proxy.authorization))
        connection.send(http.message(f"CONNECT {authority} HTTP/1.1", headers))
        head = await connection.head("CONNECT")
        if not head.second.startswith("2"):
            connection.transport.abort()
            text = f"the proxy answered {head.second} {head.third} to CONNECT {authority}"
            raise Broken(text, connected=False)
        assert route.tls is not None
        inner = Connection()
        secured = await loop.start_tls(
            connection.transport, inner, route.tls, server_hostname=route.origin.host
        )
        if secured is None:
            raise Broken(f"the proxy closed the tunnel to {authority}", connected=False)
        inner.connection_made(secured)
        return inner

    def keep(self, connection: Connection) -> None:
        """Take a connection back after an answer, and keep it open if both sides want that."""
        if connection.release():
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that are kept open."""
        for connection in self._idle:
            connection.transport.abort()
        self._idle = []


async def _open(origin: Origin, tls: ssl.SSLContext | None) -> Connection:
    loop = asyncio.get_running_loop()
    name = origin.host if tls is not None else None
    if origin.socket:
        _, connection = await loop.create_unix_connection(
            Connection, origin.socket, ssl=tls, server_hostname=name
        )
    else:
        _, connection = await loop.create_connection(
            Connection,
            origin.host,
            origin.port,
            ssl=tls,
            server_hostname=name,
            happy_eyeballs_delay=0.25 if ":" not in origin.host else None,
        )
    return connection
