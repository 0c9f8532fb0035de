"""Tests of the gateway's server with harnesses that speak HTTP/1.1 in unusual ways."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from snakeval.ledger.server import Reply, Request, Server
from support.ledger import run
from support.limits import HUNG


class Echo:
    """An application that answers with the body that it received."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.cancelled = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        try:
            if self.hold is not None:
                await self.hold.wait()
            await reply.send(200, "OK", [("X-Method", request.method)], request.body)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@asynccontextmanager
async def served(
    application: Echo,
) -> AsyncIterator[tuple[int, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = Server(application)
    port = await server.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield port, reader, writer
    finally:
        writer.close()
        await server.close()


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
    return head, await reader.readexactly(length)


def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    async def scenario() -> None:
        async with served(Echo()) as (_, reader, writer):
            for number in range(20):
                writer.write(
                    b"POST /%d HTTP/1.1\r\nContent-Length: 2\r\n\r\n%02d" % (number, number)
                )
            assert [(await answer(reader))[1] for _ in range(20)] == [
                b"%02d" % n for n in range(20)
            ]

    run(scenario())


def test_a_chunked_request_is_read() -> None:
    async def scenario() -> None:
        async with served(Echo()) as (_, reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await asyncio.sleep(0.02)
            writer.write(b"1\r\nd\r\n0\r\n\r\n")
            assert (await answer(reader))[1] == b"abcd"

    run(scenario())


def test_a_client_that_waits_before_its_body_receives_a_100() -> None:
    async def scenario() -> None:
        async with served(Echo()) as (_, reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await answer(reader))[1] == b"abc"

    run(scenario())


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_sends_two_megabytes() -> None:
    async def scenario() -> None:
        async with served(Echo()) as (port, _, _):
            argv = ["curl", "-s", "--data-binary", "@-", f"http://127.0.0.1:{port}/"]
            body = b"x" * 2_000_000
            done = await asyncio.to_thread(
                subprocess.run, argv, input=body, capture_output=True, timeout=HUNG, check=True
            )
            assert done.stdout == body

    run(scenario())


def test_a_client_that_closes_its_side_is_gone() -> None:
    async def scenario() -> None:
        application = Echo()
        application.hold = asyncio.Event()
        async with served(application) as (_, reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write_eof()
            assert await reader.read() == b""
            assert application.cancelled == 1

    run(scenario())


def test_an_answer_that_the_client_does_not_read_is_not_passed_on() -> None:
    """The request stays open until the client reads, and is cancelled when it hangs up."""

    async def scenario() -> None:
        application = Echo()
        async with served(application) as (_, _, writer):
            body = b"x" * 30_000_000
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            while not application.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert application.cancelled == 0
            writer.transport.abort()
            await asyncio.sleep(0.1)
            assert application.cancelled == 1

    run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /\r\n\r\n", "400"),
        (b"GET / HTTP/2\r\n\r\n", "505"),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n", "413"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000, "431"),
    ],
)
def test_a_bad_request_ends_the_connection(request_bytes: bytes, status: str) -> None:
    async def scenario() -> None:
        application = Echo()
        async with served(application) as (_, reader, writer):
            writer.write(request_bytes)
            head, _ = await answer(reader)
            assert head.split()[1] == status
            assert await reader.read() == b""
            assert application.requests == []

    run(scenario())


@pytest.mark.parametrize(
    ("first", "stays"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_a_connection_stays_open_if_the_client_wants_it(first: bytes, stays: bool) -> None:
    async def scenario() -> None:
        async with served(Echo()) as (_, reader, writer):
            for _ in range(2 if stays else 1):
                writer.write(first)
                head, _ = await answer(reader)
                assert head.startswith("HTTP/1.1 200")
            if not stays:
                assert await reader.read() == b""

    run(scenario())
