"""The costs of the gateway: latency, throughput, and opening a large journal.

    python benchmarks/ledger.py [--repeat 5] [--records 1000000]

*latency*: 16 clients ask an endpoint that takes 50 ms, directly and through the gateway in turns of
a second, since a disk and a machine that others use change from second to second. The gateway adds
to p50 and p99 the median over the repetitions. Beside the direct requests, another process appends
4 KB with fsync to the same disk. *throughput*: 64 clients ask an endpoint that
answers at once. *opening*: CPU time and memory of a process that opens a journal. Each answer is
on disk before its last byte is passed on, as always.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from snakeval.ledger import records

ANSWER = json.dumps(
    {
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"content": "word " * 300}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 200, "completion_tokens": 300},
    }
).encode()
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "question " * 100}]}
NUMBERS = itertools.count()


class Endpoint(asyncio.Protocol):
    """Answers each request after *delay* seconds; reads no more of it than its end."""

    def __init__(self, delay: float) -> None:
        self.delay, self.buffer = delay, b""
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        self.answer += str(len(ANSWER)).encode() + b"\r\n\r\n" + ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self.buffer = b""
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, self.answer)
        else:
            self.transport.write(self.answer)


async def endpoint(delay: float) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Endpoint(delay), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def start(argv: list[str], config: str = "") -> tuple[subprocess.Popen[str], int]:
    """Start a server; return its process and port."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    if config:
        process.stdin.write(config + "\n")
        process.stdin.flush()
    return process, json.loads(process.stdout.readline())["port"]


async def client(port: int, path: str, seconds: list[float], requests: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        body = json.dumps({**REQUEST, "user": str(next(NUMBERS))}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(await reader.readexactly(length)) != len(ANSWER):
            raise RuntimeError(answer)
        seconds.append(time.perf_counter() - began)
    writer.close()


async def load(port: int, path: str, clients: int, requests: int) -> tuple[list[float], float]:
    """Ask with so many clients; return the seconds of each request, and of all."""
    seconds: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(
        *(client(port, path, seconds, requests // clients) for _ in range(clients))
    )
    return seconds, time.perf_counter() - began


def quantile(seconds: list[float], share: float) -> float:
    """Return a quantile in milliseconds."""
    return 1000 * sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def fsyncs(folder: Path) -> None:
    """Append 4 KB with fsync until standard input ends; print the seconds of each."""
    seconds, data, done = [], os.urandom(4096), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    file = os.open(folder / f"append{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while not done.is_set():
        began = time.perf_counter()
        os.write(file, data)
        os.fdatasync(file)
        seconds.append(time.perf_counter() - began)
        time.sleep(0.005)
    print(json.dumps(seconds))


def gateway(folder: Path, port: int, window: int) -> tuple[subprocess.Popen[str], int]:
    """Start a gateway before an endpoint."""
    upstream = {
        "url": f"http://127.0.0.1:{port}/v1/chat/completions",
        "identity": "benchmark",
        "start": window,
        "ceiling": window,
        "proxy": False,
    }
    config = {"directory": str(folder), "token": "token", "upstreams": {"model": upstream}}
    return start([sys.executable, "-m", "snakeval.ledger"], json.dumps(config))


def latency(folder: Path, repeat: int, turns: int = 10, requests: int = 320) -> None:
    """Print what the gateway adds to the latency of an endpoint that takes 50 ms."""
    added, disk = [], []
    server, port = start([sys.executable, __file__, "--endpoint", "0.05"])
    for number in range(repeat):
        process, ours = gateway(folder / f"latency{number}", port, 16)
        direct, beside, appends = [], [], []
        for _ in range(turns):
            argv = [sys.executable, __file__, "--append", "--folder", str(folder)]
            append = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            direct += asyncio.run(load(port, "/v1/chat/completions", 16, requests))[0]
            appends += json.loads(append.communicate(timeout=60)[0])
            beside += asyncio.run(load(ours, "/model/v1/chat/completions", 16, requests))[0]
        disk.append(appends)
        added.append([quantile(beside, q) - quantile(direct, q) for q in (0.5, 0.99)])
        stop(process)
    stop(server)
    for place, (name, share, bound) in enumerate((("p50", 0.5, 2.0), ("p99", 0.99, 5.0))):
        append = statistics.median(quantile(seconds, share) for seconds in disk)
        more = statistics.median(values[place] for values in added)
        print(
            f"latency {name}: the gateway adds {more:.1f} ms, an append takes {append:.1f} ms; "
            f"bound {append + bound:.1f} ms: {'ok' if more <= append + bound else 'MISSED'}"
        )


def throughput(folder: Path, repeat: int, requests: int = 6400) -> None:
    """Print how many requests a second pass the gateway."""
    rates = []
    server, port = start([sys.executable, __file__, "--endpoint", "0"])
    for number in range(repeat):
        process, ours = gateway(folder / f"throughput{number}", port, 64)
        _, whole = asyncio.run(load(ours, "/model/v1/chat/completions", 64, requests))
        rates.append(requests / whole)
        stop(process)
    stop(server)
    rate = statistics.median(rates)
    print(f"throughput: {rate:.0f} requests/s; bound 1000: {'ok' if rate >= 1000 else 'MISSED'}")


def stop(process: subprocess.Popen[str]) -> None:
    """End a server by the end of its standard input."""
    process.communicate(timeout=60)


def opening(folder: Path, count: int) -> None:
    """Print what opening a journal of *count* records takes."""
    journal = folder / "large"
    journal.mkdir()
    meta = {"status": 200, "reason": "OK", "headers": [["Content-Type", "application/json"]]}
    answer = records.Answer(meta, json.dumps(REQUEST).encode(), ANSWER)
    sample = records.pack(records.ANSWER, bytes(16), 0, answer)
    payload = sample[len(records.pack_dropped(bytes(16), 0)) :]
    # Random bytes keep the size that a real payload of 3 KB has after compression.
    payload += os.urandom(max(0, 1300 - len(payload)))
    with (journal / "0001.journal").open("wb") as file:
        file.write(records.header("benchmark"))
        for number in range(count):
            key = number.to_bytes(16, "big")
            file.write(records._record(records.ANSWER, key, 0, payload))
    script = (
        "import resource, sys, pathlib, time\n"
        "from snakeval.ledger.journal import Journal\n"
        "began = time.process_time()\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), 'benchmark')\n"
        "used = time.process_time() - began\n"
        "print(journal.kept, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    argv = [sys.executable, "-c", script, str(journal)]
    kept, used, memory = subprocess.run(
        argv, check=True, capture_output=True, text=True
    ).stdout.split()
    good = int(kept) == count and float(used) <= 3 and float(memory) <= 300
    print(
        f"opening {count} records: {float(used):.1f} s of CPU, {float(memory):.0f} MB; "
        f"bounds 3 s, 300 MB: {'ok' if good else 'MISSED'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    parser.add_argument("--endpoint", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--append", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.append:
        fsyncs(args.folder)
        return
    if args.endpoint is not None:
        asyncio.run(endpoint(args.endpoint))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        latency(folder, args.repeat)
        throughput(folder, args.repeat)
        opening(folder, args.records)


if __name__ == "__main__":
    main()
