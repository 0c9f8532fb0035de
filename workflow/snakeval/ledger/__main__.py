"""The gateway's process: ``python -m snakeval.ledger``, with its configuration on standard input.

The first line of standard input is the configuration as JSON; keys are only there, and never on a
command line or in an environment::

    {"directory": "…/requests", "listen": ["127.0.0.1"], "port": 0, "token": "…", "grace": 45,
     "paused": 5, "mode": "on" | "memory", "offline": false,
     "budget": {"file": "…/budget", "place": "model/benchmark",
       "limits": {"money": 5, "tokens": 1000000, "requests": 1000, "wall": 3600},
       "rates": {"model": 2.5}},
     "upstreams": {"model": {"url": "https://…/v1/chat/completions", "identity": "…", "key": "…",
       "auth": "api-key", "timeout": 300, "deadline": 3600, "tries": 4, "served": false,
       "offline": false,
       "exact": false, "start": 8, "ceiling": 64, "requests_per_minute": 0, "tokens_per_minute": 0,
       "request": {"rename": {}, "drop": [], "add": {}}, "headers": {}, "query": {},
       "prices": {"input": 0.15, "output": 0.6, "cached": 0.075},
       "verify": true, "cert": null, "proxy": null}}}

The process writes one line to standard output when it is ready: ``{"port": 40001}``. Each further
line of standard input moves an upstream: ``{"upstream": "model", "url": "…"}``.

At the end of standard input (the parent is dead) or on SIGTERM the gateway drains: it refuses new
requests with 503, finishes those that the endpoints have, keeps their answers and ends, after
*grace* seconds at most. A second SIGTERM ends it at once, and so does SIGINT. If the budget of the
run is used up, it ends with 4 as soon as a request would exceed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakeval.ledger import summary
from snakeval.ledger.gateway import Gateway
from snakeval.ledger.pulse import boottime
from snakeval.ledger.routes import BadRoute
from snakeval.ledger.spending import Spending
from snakeval.ledger.summary import UNWRITABLE, USED_UP

GRACE = 45.0
#: The exit code if the configuration cannot be used.
UNUSABLE = 2
_PR_SET_DUMPABLE = 4
#: After so many seconds without a beat the gateway was stopped, or its disk or machine stood still.
PAUSED = 5.0


def main() -> int:
    """Serve until the parent ends; return the exit code."""
    protect()
    # The thread that flushes the disk would wait up to 5 ms to say that it is done.
    sys.setswitchinterval(0.0005)
    config = json.loads(sys.stdin.buffer.readline() or b"{}")
    try:
        return asyncio.run(Process(config).run())
    except (BadRoute, OSError, KeyError) as error:
        print(f"error: the gateway cannot start: {error!r}", file=sys.stderr)
        return UNUSABLE


def protect() -> None:
    """Keep other processes of this user from reading the keys in this process's memory.

    A process that is not dumpable hides ``/proc/PID`` and cannot be traced (prctl(2), ptrace(2)).
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Process:
    """The life of a gateway."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._directory = Path(config["directory"])
        self._broken = ""
        self._used_up: list[str] | None = None
        self._unwritten = False
        self._was_paused = False

    async def run(self) -> int:
        """Serve, drain and end; return the exit code."""
        loop = asyncio.get_running_loop()
        self._drain, self._end = asyncio.Event(), asyncio.Event()
        heartbeat = summary.Heartbeat(self._directory / "gateway")
        try:
            gateway = Gateway(self._config, self._fatal, self._use_up)
            port = int(self._config.get("port", 0))
            for address in self._config.get("listen") or ["127.0.0.1"]:
                port = await gateway.server.listen(address, port)
            loop.add_signal_handler(signal.SIGTERM, self._signal)
            loop.add_signal_handler(signal.SIGINT, self._stop)
            loop.add_signal_handler(signal.SIGHUP, self._drain.set)
            ticking = asyncio.ensure_future(self._tick(gateway, heartbeat))
            orders = asyncio.ensure_future(self._orders(gateway))
            beating = asyncio.ensure_future(gateway.pulse.beat())
            tasks = [ticking, orders, beating]
            if gateway.spending is not None:
                tasks.append(asyncio.ensure_future(self._spend(gateway.spending)))
            print(json.dumps({"port": port}), flush=True)
            await self._drain.wait()
            gateway.drain()
            self._write(gateway)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._landed(gateway), self._config.get("grace", GRACE))
            for task in tasks:
                task.cancel()
            await gateway.close()
            self._write(gateway, ended=os.getpid())
        finally:
            heartbeat.close()
        if self._broken:
            print(f"error: {self._broken}", file=sys.stderr, flush=True)
            return UNWRITABLE
        if self._used_up is not None:
            kinds = " and ".join(self._used_up)
            print(f"error: the run's budget of {kinds} is used up", file=sys.stderr, flush=True)
            return USED_UP
        return 0

    def _signal(self) -> None:
        if self._drain.is_set():
            self._end.set()
        self._drain.set()

    def _stop(self) -> None:
        self._drain.set()
        self._end.set()

    def _use_up(self, kinds: list[str]) -> None:
        self._used_up = kinds
        self._drain.set()

    async def _spend(self, spending: Spending) -> None:
        """Advance the clocks of the run's budget."""
        try:
            await spending.tick()
        except OSError as error:
            self._fatal(f"{spending.budget.path} cannot be written ({error.strerror})")

    def _fatal(self, reason: str) -> None:
        self._broken = self._broken or reason
        self._stop()

    async def _landed(self, gateway: Gateway) -> None:
        """Return when no flight is under way, or a second signal ends the drain."""
        while gateway.under_way and not self._end.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._end.wait(), 0.02)

    async def _tick(self, gateway: Gateway, heartbeat: summary.Heartbeat) -> None:
        last = boottime()
        while True:
            heartbeat.beat()
            self._write(gateway)
            await asyncio.sleep(summary.BEAT)
            last, before = boottime(), last
            paused = float(self._config.get("paused", PAUSED))
            self._was_paused |= last - before > summary.BEAT + paused

    def _write(self, gateway: Gateway, **more: Any) -> None:
        try:
            if self._was_paused:
                more["paused"] = True
            if self._used_up is not None:
                more["used_up"] = self._used_up
            summary.write(self._directory / "summary.json", gateway.data() | more)
        except OSError as error:
            # The journal decides whether a full disk ends the attempt.
            if not self._unwritten:
                print(f"warning: no summary: {error}", file=sys.stderr, flush=True)
            self._unwritten = True

    async def _orders(self, gateway: Gateway) -> None:
        """Follow the parent's orders; its death ends standard input."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while True:
            line = await reader.readline()
            if not line:
                self._drain.set()
                return
            order = json.loads(line)
            gateway.upstreams[order["upstream"]].move(order["url"])


if __name__ == "__main__":
    sys.exit(main())
