"""Notices that the gateway stood still, and the requests that a harness gave up because of it.

A stopped process, a disk or a machine that stands still lets a harness's short time-outs pass, and
the harness may count its request as a wrong answer. The harness's end of a connection shows only
when the gateway continues, so it counts if it shows within a moment after a pause.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import Callable

#: Seconds between two looks at the clock, and the delay that is no pause: a busy machine has it.
LOOK, DELAY = 0.25, 0.5
#: Seconds after a pause within which the kernel has shown all ends of connections.
MOMENT = 1.0
#: States of a TCP connection whose client has closed it (Linux, ``include/net/tcp_states.h``).
_CLOSE, _CLOSE_WAIT = 7, 8


def boottime() -> float:
    """Return seconds that also pass while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Pulse:
    """Looks at the clock all the time.

    Attributes:
        given_up: how many requests a harness gave up while the gateway stood still.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self.given_up = 0
        self._clock = clock
        self._last = clock()
        self._until = self._last

    async def beat(self) -> None:
        """Look at the clock until the task is cancelled."""
        self._last = self._clock()
        while True:
            await asyncio.sleep(LOOK)
            self.stood_still()

    def stood_still(self) -> bool:
        """Whether the gateway stood still until a moment ago."""
        now = self._clock()
        if now - self._last > LOOK + DELAY:
            self._until = now + MOMENT
        self._last = now
        return now < self._until

    def gave_up(self) -> None:
        """Note that a harness gave up a request."""
        self.given_up += self.stood_still()


def is_left(transport: asyncio.Transport) -> bool:
    """Whether the client has closed its side, as Linux knows."""
    connection = transport.get_extra_info("socket")
    if connection is None or sys.platform != "linux":
        return False
    try:
        state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return True
    return state in (_CLOSE_WAIT, _CLOSE)
