"""Tests which ends of connections count as given up because the gateway stood still."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from snakeval.ledger.pulse import DELAY, LOOK, MOMENT, Pulse
from snakeval.ledger.server import Reply, Request, Server
from support.ledger import run, until


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("pause", "later", "count"),
    [
        (LOOK + DELAY - 0.1, 0.0, 0),
        (LOOK + DELAY + 0.1, 0.0, 1),
        (60.0, MOMENT - 0.3, 1),
        (60.0, MOMENT + 0.1, 0),
    ],
)
def test_a_request_is_given_up_in_a_pause_or_a_moment_after_it(
    pause: float, later: float, count: int
) -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += pause
    pulse.stood_still()
    for _ in range(10):  # the looks between
        clock.now += later / 10
        pulse.stood_still()
    pulse.gave_up()
    assert pulse.given_up == count


class Paused(Pulse):
    """A gateway that always stood still a moment ago."""

    def stood_still(self) -> bool:
        return True


REQUEST = b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


async def at_once(request: Request, reply: Reply) -> None:
    await reply.send(200, "OK", [], b"x")


async def never(request: Request, reply: Reply) -> None:
    await asyncio.sleep(1800)


@pytest.mark.parametrize(
    ("application", "sent", "is_read", "count"),
    [
        (at_once, REQUEST, True, 0),  # it has its answer
        (at_once, REQUEST, False, 1),  # the answer came after the end
        (never, REQUEST, False, 1),
        (at_once, REQUEST[:9], False, 1),
        (at_once, b"", False, 1),  # a stopped server lost the request, or there was none yet
    ],
)
def test_an_end_without_an_answer_counts(
    application: Callable[[Request, Reply], Awaitable[None]], sent: bytes, is_read: bool, count: int
) -> None:
    async def scenario() -> None:
        pulse = Paused()
        server = Server(application, pulse)
        port = await server.listen("127.0.0.1", 0)
        # Before the loop continues: the server sees the request and the end together.
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(sent)
        if is_read:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_recv(client, 1000)
        client.close()
        await until(lambda: pulse.given_up == count)
        await server.close()
        assert pulse.given_up == count

    run(scenario())
