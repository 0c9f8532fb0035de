"""How much of one limit two parties use together: evaluations, runs and network namespaces.

    python benchmarks/shared_limits.py [--requests 900] [--only NAME]

The endpoint allows 20 requests a second with a burst of 20. Each party is an evaluation of a
command with 64 requests in flight, run by the ``snakeval`` command. ``stated`` configures the limit
as ``endpoint.limits``, ``learnt`` configures nothing. The use is the number of answers while both
parties ask, of those that the endpoint allows in that time; the bound is 90 %. Network namespaces
require root and ``ip``; without these they are left out, and the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from simulated import Metered

RATE, BURST, BOUND = 20.0, 20.0, 0.9
#: An address of the namespace and of its other end, by the number of the party.
_NETWORK = "10.213.{}.{}"

#: Asks with 64 requests in flight, and counts the sound answers.
_CLIENT = """
import asyncio, json, sys, urllib.parse
url, name, count, file = sys.argv[1:]
where = urllib.parse.urlsplit(url)

async def worker(numbers, done):
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    for number in numbers:
        body = json.dumps({"party": name, "number": number}).encode()
        head = f"POST {where.path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
        writer.write(f"{head}Content-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
        answer = await reader.readuntil(b"\\r\\n\\r\\n")
        await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split()[0]))
        done.append(answer.startswith(b"HTTP/1.1 200"))
    writer.close()

async def main():
    numbers, done = iter(range(int(count))), []
    await asyncio.gather(*(worker(numbers, done) for _ in range(64)))
    open(file, "w").write(json.dumps({"sound": sum(done)}))

asyncio.run(main())
"""


async def serve(host: str) -> None:
    """Serve the endpoint until standard input ends; print its port, then what each party got."""
    endpoint = Metered(rate=RATE, burst=BURST)
    log: list[tuple[str, int, float, float]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                asked = json.loads(await reader.readexactly(length))
                arrived = time.monotonic()
                status, after = await endpoint.answer(0)
                log.append((asked["party"], status, arrived, time.monotonic()))
                answer = b'{"choices": [{"message": {"content": "x"}}]}'
                lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
                lines += [f"Content-Length: {len(answer)}"]
                lines += [f"Retry-After: {after:.3f}"] if after else []
                writer.write("\r\n".join([*lines, "", ""]).encode() + answer)

    server = await asyncio.start_server(one, host, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(log))


@dataclass(frozen=True)
class Case:
    """Who shares the limit, and whether the configuration states it."""

    parties: str
    stated: bool

    @property
    def name(self) -> str:
        return f"two {self.parties}, {'stated' if self.stated else 'learnt'}"


CASES = [
    Case(parties, stated)
    for parties in ("evaluations", "runs", "namespaces")
    for stated in (True, False)
]


def config(place: Path, case: Case, url: str, names: list[str], requests: int) -> Path:
    """Write the configuration of one run."""
    endpoint: dict[str, Any] = {"url": url, "model_id": "m"}
    if case.stated:
        endpoint["limits"] = {"requests_per_minute": 60 * RATE}
    client = place / "client.py"
    client.write_text(_CLIENT)
    benchmarks = {
        name: {
            "harness": "generic",
            "command": f"{sys.executable} {client} {{{{ url }}}} {name} {requests} "
            "{{ results }}/score.json",
            "metrics": {"file": "score.json", "values": {"sound": "sound"}},
        }
        for name in names
    }
    rows = {
        "runtime": "process",
        "params": {"parallelism": "auto"},
        "models": {"m": {"endpoint": endpoint}},
        "benchmarks": benchmarks,
    }
    file = place / "config.yaml"
    file.write_text(yaml.safe_dump(rows))
    return file


@contextlib.contextmanager
def namespace(number: int) -> Iterator[tuple[list[str], str]]:
    """Make a network namespace; yield how a command runs in it, and this machine's address."""
    name, near, far = f"snakeval{number}", _NETWORK.format(number, 1), _NETWORK.format(number, 2)
    inside = ["ip", "-n", name]
    steps = [
        ["ip", "netns", "add", name],
        ["ip", "link", "add", f"sv{number}a", "type", "veth", "peer", "name", f"sv{number}b"],
        ["ip", "link", "set", f"sv{number}b", "netns", name],
        ["ip", "addr", "add", f"{near}/30", "dev", f"sv{number}a"],
        ["ip", "link", "set", f"sv{number}a", "up"],
        [*inside, "addr", "add", f"{far}/30", "dev", f"sv{number}b"],
        [*inside, "link", "set", f"sv{number}b", "up"],
        [*inside, "link", "set", "lo", "up"],
    ]
    try:
        for step in steps:
            subprocess.run(step, check=True)
        yield ["ip", "netns", "exec", name], near
    finally:
        subprocess.run(["ip", "link", "del", f"sv{number}a"], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


def play(case: Case, requests: int, number: int) -> bool:
    """Print a case's line; return whether it is within its bound."""
    names = ["a", "b"]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spaces = case.parties == "namespaces"
        argv = [sys.executable, __file__, "--serve", "0.0.0.0" if spaces else "127.0.0.1"]
        server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        port = int(server.stdout.readline())
        runs = [names] if case.parties == "evaluations" else [[name] for name in names]
        started = []
        for place, own in enumerate(runs):
            prefix, host = [], "127.0.0.1"
            if spaces:
                prefix, host = stack.enter_context(namespace(10 * number + place))
            home = folder / own[0]
            home.mkdir()
            file = config(home, case, f"http://{host}:{port}/v1/chat/completions", own, requests)
            words = [sys.executable, "-m", "snakeval", "run", "--config", str(file)]
            # The endpoint knows the requests of the parties alone.
            words.append("--no-preflight")
            started.append(
                subprocess.Popen(
                    [*prefix, *words],
                    cwd=home,
                    env={**os.environ, "SNAKEVAL_HOME": str(home / "home")},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        outputs = [process.communicate()[0] for process in started]
        log = json.loads(server.communicate(timeout=60)[0])
        failed = [
            text for process, text in zip(started, outputs, strict=True) if process.returncode
        ]
    for text in failed:
        print(text[-1500:])
    return line(case, log, len(failed), requests)


def line(case: Case, log: list[tuple[str, int, float, float]], failed: int, requests: int) -> bool:
    """Print a case's line; return whether it is within its bound."""
    arrived = {name: [at for party, _, at, _ in log if party == name] for name in ("a", "b")}
    answered = {
        name: [(at, end) for party, status, at, end in log if party == name and status == 200]
        for name in ("a", "b")
    }
    start, end = max(map(min, arrived.values())), min(map(max, arrived.values()))
    taken = {name: sum(start <= at <= end for at, _ in each) for name, each in answered.items()}
    use = sum(taken.values()) / (RATE * (end - start))
    twice = sum(map(len, answered.values())) - 2 * requests
    good = use >= BOUND and not failed and not twice
    refused = sum(status == 429 for _, status, _, _ in log)
    print(
        f"{case.name:24} {end - start:8.1f} {use:7.1%} {taken['a']:6} {taken['b']:6} "
        f"{refused:5} {failed:7} {twice:6}  {'ok' if good else 'MISSED'}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=900, help="of each party")
    parser.add_argument("--only", default="", help="run the cases whose names contain this")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return 0
    print(
        f"{'parties':24} {'seconds':>8} {'use':>7} {'a':>6} {'b':>6} {'429':>5} {'failed':>7} "
        f"{'twice':>6}"
    )
    good = []
    for number, case in enumerate(CASES):
        if args.only not in case.name:
            continue
        if case.parties == "namespaces" and (os.getuid() != 0 or shutil.which("ip") is None):
            print(f"{case.name:24} left out: requires root and ip")
            continue
        good.append(play(case, args.requests, number))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
