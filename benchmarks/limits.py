"""How long the adaptive limit takes at simulated endpoints, against each fixed number of requests.

    python benchmarks/limits.py [--sockets] [--repeat 3] [--only NAME]

For each endpoint of ``simulated.py`` the table has the time with the best fixed number of 1, 2, 4 …
256 requests in flight, the time with ``parallelism: auto``, their ratio, its bound, the requests
that failed, the answers that were paid twice, and the 429s. Both go through the gateway's own
queue, retries and limit. The simulation has a clock that jumps. ``--sockets`` runs gateway and
endpoint as processes in real time, against the fixed number that is best in the simulation.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulated import CASES, Case, Endpoint, VirtualLoop

from snakeval.ledger.asking import Asker, Passing
from snakeval.ledger.beside import Gateway, beside
from snakeval.ledger.client import Call
from snakeval.ledger.connection import Broken
from snakeval.ledger.gate import Gate
from snakeval.ledger.http import Head
from snakeval.ledger.limit import Bounds, Limit
from snakeval.ledger.retries import Patience
from snakeval.matrix.ledger import CEILING, START

FIXED = [1, 2, 4, 8, 16, 32, 64, 128, 256]
#: Start and ceiling of `parallelism: auto` at an endpoint that snakeval does not serve.
AUTO = Bounds(start=START, ceiling=CEILING)
#: Requests that the harness has in flight. `--clients 64` is as many as the window at most.
CLIENTS = 256
_BODY = b'{"choices": [{"message": {"content": "x"}}]}'


class Connection:
    """A connection to a simulated endpoint."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] | None = None
        self._body = _BODY

    async def piece(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def abort(self, why: Broken) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(why)


class Client:
    """The connections to a simulated endpoint; it takes the place of the ledger's client."""

    base = "http://simulated.invalid"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def connection(self) -> Connection:
        return Connection()

    async def ask(self, call: Call, connection: Connection) -> Head:
        loop = asyncio.get_running_loop()
        connection.answer = loop.create_future()
        task = asyncio.ensure_future(self._answer(call, connection.answer))
        try:
            status, after = await connection.answer
        finally:
            task.cancel()
        headers = [("Content-Type", "application/json")]
        if after:
            headers.append(("Retry-After", f"{after:.3f}"))
        return Head("HTTP/1.1", str(status), "", headers)

    async def _answer(self, call: Call, answer: asyncio.Future[Any]) -> None:
        result = await self.endpoint.answer(int(call.body))
        if not answer.done():
            answer.set_result(result)

    def redirected(self, call: Call, head: Head) -> str:
        return ""

    def keep(self, connection: Connection) -> None:
        pass


@dataclass(frozen=True)
class Result:
    """The time of one run, and its faults."""

    seconds: float
    failed: int
    twice: int
    refused: int


def simulate(case: Case, bounds: Bounds, seed: int, trace: bool = False) -> Result:
    """Ask all requests of a case, in simulated time."""

    async def run() -> Result:
        endpoint, loop = case.endpoint(seed), asyncio.get_running_loop()
        start = loop.time()
        limit = Limit(Bounds(bounds.start, bounds.ceiling, case.timeout), loop.time())
        asker = Asker(Client(endpoint), Gate(limit), Patience(), case.timeout)  # type: ignore[arg-type]
        left, failed = iter(range(case.requests)), 0

        async def worker() -> None:
            nonlocal failed
            for number in left:
                call = Call("POST", "/v1/chat/completions", [], str(number).encode())
                outcome = await asker.ask(call, number, Passing())
                failed += outcome.status != 200
                if trace and number % 20 == 0:
                    print(
                        f"    {loop.time() - start:7.2f} s: window {limit.window:6.1f}, "
                        f"in flight {limit.in_flight}, pace {limit.pace:.1f}"
                    )

        await asyncio.gather(*(worker() for _ in range(CLIENTS)))
        twice = endpoint.answered - (case.requests - failed)
        return Result(loop.time() - start, failed, twice, endpoint.refused)

    loop = VirtualLoop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def median(results: list[Result]) -> Result:
    """Return the median time, and the worst of the rest."""
    return Result(
        statistics.median(result.seconds for result in results),
        max(result.failed for result in results),
        max(result.twice for result in results),
        max(result.refused for result in results),
    )


def measure(case: Case, repeat: int, trace: bool) -> bool:
    """Print a case's line; return whether it is within its bound."""
    fixed = {}
    for count in FIXED:
        runs = [simulate(case, Bounds(count, count), seed) for seed in range(repeat)]
        found = median(runs)
        # A number with which requests fail is no alternative.
        if not found.failed:
            fixed[count] = found.seconds
    best = min(fixed, key=lambda count: fixed[count])
    auto = median([simulate(case, AUTO, seed, trace and not seed) for seed in range(repeat)])
    return line(case, best, fixed[best], auto)


def line(case: Case, best: int, seconds: float, auto: Result) -> bool:
    """Print a case's line; return whether it is within its bound."""
    ratio = auto.seconds / seconds
    good = ratio <= case.bound and not auto.failed and not auto.twice
    print(
        f"{case.name:16} {seconds:8.1f} ({best:3}) {auto.seconds:8.1f} {ratio:6.2f} "
        f"{case.bound:6.1f} {auto.failed:7} {auto.twice:6} {auto.refused:6}  "
        f"{'ok' if good else 'MISSED'}"
    )
    return good


def over_sockets(case: Case, count: int, repeat: int, folder: Path) -> bool:
    """Print a case's line in real time: `auto` against the best fixed number of the simulation."""
    best = median([real(case, Bounds(count, count), n, folder) for n in range(repeat)])
    auto = median([real(case, AUTO, n, folder) for n in range(repeat)])
    return line(case, count, best.seconds, auto)


def real(case: Case, bounds: Bounds, seed: int, folder: Path) -> Result:
    """Ask all requests of a case through a gateway and an endpoint in processes of their own."""
    argv = [sys.executable, str(Path(__file__).with_name("simulated.py")), case.name, str(seed)]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    options = {"start": bounds.start, "ceiling": bounds.ceiling, "timeout": case.timeout}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    upstream = {"url": url, "identity": "benchmark", "proxy": False, **options}
    directory = folder / str(port)
    with beside(directory, {"model": upstream}, print) as gateway:
        seconds, failed = asyncio.run(load(gateway, case.requests))
    answered, refused = map(int, server.communicate(timeout=60)[0].split())
    return Result(seconds, failed, answered - (case.requests - failed), refused)


async def load(gateway: Gateway, requests: int) -> tuple[float, int]:
    """Ask by 256 clients; return the seconds, and how many requests failed."""
    left, failed, began = iter(range(requests)), 0, time.monotonic()

    async def worker() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for number in left:
            body = str(number)
            head = (
                f"POST /model/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAPI-Key: {gateway.token}"
            )
            writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split()[0]))
            failed += not answer.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(worker() for _ in range(min(CLIENTS, requests))))
    return time.monotonic() - began, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sockets", action="store_true", help="run in real time over sockets")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="run the endpoints whose names contain this")
    parser.add_argument("--trace", action="store_true", help="print how the limit moves")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    args = parser.parse_args()
    globals()["CLIENTS"] = args.clients
    chosen = [case for case in CASES if args.only in case.name]
    print(
        f"{'endpoint':16} {'best fixed':>14} {'auto':>8} {'ratio':>6} {'bound':>6} "
        f"{'failed':>7} {'twice':>6} {'429':>6}"
    )
    if args.sockets:
        with tempfile.TemporaryDirectory() as name:
            good = [over_sockets(case, case.best, args.repeat, Path(name)) for case in chosen]
    else:
        good = [measure(case, args.repeat, args.trace) for case in chosen]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
