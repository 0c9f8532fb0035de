"""A gateway in a process of its own, as an evaluation starts it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import forks
from support.ledger import CHAT, KEY, TOKEN, Endpoint, Received, Script, ask


class Process:
    """A gateway in a process of its own."""

    def __init__(self, directory: Path, endpoint: Endpoint, **options: Any) -> None:
        upstream = {
            "url": f"http://127.0.0.1:{endpoint.port}{CHAT}",
            "identity": "identity",
            "key": KEY,
            "proxy": False,
        }
        own = {name: options.pop(name) for name in ("grace",) if name in options}
        config = {"directory": str(directory), "token": TOKEN, **own}
        config["upstreams"] = {"model": {**upstream, **options}}
        self.directory = directory
        self.popen = forks.Process(
            [sys.executable, "-m", "snakeval.ledger"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(json.dumps(config) + "\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        self.port = json.loads(line)["port"] if line else 0

    def order(self, **data: Any) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(data) + "\n")
        self.popen.stdin.flush()

    async def post(self, data: Any) -> Received:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        path, body = f"/model{CHAT}", json.dumps(data).encode()
        return await asyncio.to_thread(ask, self.port, "POST", path, body, headers)

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "summary.json").read_text())
        return found["upstreams"]["model"]

    @property
    def drains(self) -> bool:
        found: bool = json.loads((self.directory / "summary.json").read_text())["draining"]
        return found

    async def ended(self) -> int:
        return await asyncio.to_thread(self.popen.wait, 60)

    def parent_dies(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.close()


@contextmanager
def gateway(directory: Path, endpoint: Endpoint, **options: Any) -> Iterator[Process]:
    process = Process(directory, endpoint, **options)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.wait()
        for pipe in (process.popen.stdin, process.popen.stdout, process.popen.stderr):
            if pipe is not None:
                pipe.close()


async def started(script: Script) -> Endpoint:
    endpoint = Endpoint(script)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    return endpoint
