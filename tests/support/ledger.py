"""An endpoint on a socket that answers as a test wants, a gateway before it, and a harness."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.ledger.gateway import Gateway
from support.limits import HUNG

TOKEN, KEY = "0123456789abcdef0123456789abcdef", "sk-canary-key"
CHAT = "/v1/chat/completions"


@dataclass
class Asked:
    """A request as the endpoint received it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass
class Received:
    """An answer as the harness received it."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Endpoint:
    """An endpoint that records what it is asked, and answers by *script*."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ", 2)
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = {name.lower(): text.strip() for name, _, text in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append(Asked(method, target, headers, body))
                await self.script(self.asked[-1], writer)
                await writer.drain()
        writer.close()


def raw(status: str, headers: list[str], body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def answer(data: Any, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole answer in JSON."""
    body = json.dumps(data).encode()
    kind = f"Content-Length: {len(body)}"
    return raw(status, ["Content-Type: application/json", kind, *headers], body)


def completion(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat completion as OpenAI's API has it."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"object": "chat.completion", "choices": choices, "usage": usage, **more}


def says(*scripted: bytes) -> Script:
    """Return a script that sends these answers in turn, and the last one from then on."""
    left = list(scripted)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return script


def counting(pause: float = 0.0, numbers: Iterator[int] | None = None) -> Script:
    """Return a script that numbers its answers, so that each answer is another one."""
    left = itertools.count(1) if numbers is None else numbers

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        number = next(left)
        await asyncio.sleep(pause)
        writer.write(answer(completion(f"answer {number}")))

    return script


@dataclass
class Bed:
    """A gateway, its endpoint, and the way of a harness to it."""

    endpoint: Endpoint
    gateway: Gateway
    port: int
    fatal: list[str]
    used_up: list[list[str]]

    async def post(self, data: Any, path: str = CHAT, **headers: str) -> Received:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return await self.ask("POST", path, body, headers)

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Received:
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent |= headers or {}
        return await asyncio.to_thread(ask, self.port, method, f"/model{path}", body, sent)

    async def hang_up(self, data: Any, wait: Callable[[], bool]) -> None:
        """Ask, and close the connection as soon as *wait* is true."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        body = json.dumps(data).encode()
        head = f"POST /model{CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await until(wait)
        writer.close()
        # The gateway sees the end of the connection in its next turn.
        await asyncio.sleep(0.02)

    @property
    def counts(self) -> dict[str, Any]:
        data: dict[str, Any] = self.gateway.data()["upstreams"]["model"]
        return data


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + HUNG
    while not condition():
        assert time.monotonic() < end, "the condition never became true"
        await asyncio.sleep(0.005)


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> Received:
    """Ask by Python's own client, which shares no code with the gateway."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HUNG)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        content = response.read()
        return Received(response.status, response.reason, response.getheaders(), content)
    finally:
        connection.close()


@contextlib.asynccontextmanager
async def bed(directory: Path, script: Script, **options: Any) -> AsyncIterator[Bed]:
    """Start an endpoint and a gateway; *options* are of the upstream or of the gateway."""
    endpoint = Endpoint(script)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, limit=1 << 26)
    endpoint.port = server.sockets[0].getsockname()[1]
    names = ("token", "mode", "offline", "budget")
    own = {name: options.pop(name) for name in names if name in options}
    upstream = {
        "url": f"http://127.0.0.1:{endpoint.port}{CHAT}",
        "identity": "identity",
        "key": KEY,
        "proxy": False,
        **options,
    }
    config = {"directory": directory, "token": TOKEN, "upstreams": {"model": upstream}, **own}
    fatal: list[str] = []
    used_up: list[list[str]] = []
    gateway = Gateway(config, fatal.append, used_up.append)
    try:
        port = await gateway.server.listen("127.0.0.1", 0)
        yield Bed(endpoint, gateway, port, fatal, used_up)
    finally:
        await gateway.close()
        server.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario, at most a minute."""
    asyncio.run(asyncio.wait_for(scenario, 60))
