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
from urllib.parse import urljoin

from snakeval.ledger import http
from snakeval.ledger.connection import Broken, Connection, TimedOut
from snakeval.ledger.http import Head, Headers
from snakeval.ledger.routes import Origin, Route

#: Seconds to connect, including a proxy and TLS.
CONNECT_SECONDS = 15.0


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
            target = f"{self.base}{target}"
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
            raise TimedOut(text) from None
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or error
            text = f"no TLS with {self._where()} ({why})"
            raise Broken(text) from None
        except OSError as error:
            # asyncio's own texts repeat the address.
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or error
            text = f"no connection to {self._where()} ({reason})"
            raise Broken(text) from None

    @property
    def base(self) -> str:
        """Scheme and authority of the endpoint's URLs."""
        return f"{self.route.origin.scheme}://{self.route.origin.authority}"

    def redirected(self, call: Call, head: Head) -> str:
        """Return the target of a redirect that keeps method and origin, or an empty text."""
        location = http.value(head.headers, "location")
        repeats = head.second in ("307", "308") or (
            head.second in ("301", "302", "303") and call.method in ("GET", "HEAD")
        )
        if not location or not repeats:
            return ""
        url = urljoin(self.base + call.target, location).partition("#")[0]
        return url[len(self.base) :] if url.startswith(f"{self.base}/") else ""

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
            raise Broken(text)
        assert route.tls is not None
        inner = Connection()
        secured = await loop.start_tls(
            connection.transport, inner, route.tls, server_hostname=route.origin.host
        )
        if secured is None:
            raise Broken(f"the proxy closed the tunnel to {authority}")
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
