"""Tests of the gateway's process: what its end, its parent's end and the harness's end cost.

The endpoint counts what it is asked. A killed harness costs no request, and a killed gateway at
most the requests that were under way.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import summary
from support.ledger import CHAT, KEY, TOKEN, Endpoint, Received, Script, ask, counting, run, until


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
        self.popen = subprocess.Popen(
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


HARNESS = """
import asyncio, json, sys
port, items, samples, flight = map(int, sys.argv[1:5])
async def one(turns, number):
    async with turns:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"messages": [], "user": f"item {number}"}).encode()
        head = f"POST /model/v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer "
        writer.write(f"{head}{sys.argv[5]}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
        answer = await reader.readuntil(b"\\r\\n\\r\\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\\r\\n")[0])
        text = (await reader.readexactly(length)).decode()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {answer!r}")
        writer.close()
        return number, json.loads(text)["choices"][0]["message"]["content"]
async def main():
    turns = asyncio.Semaphore(flight)
    jobs = [one(turns, number) for number in range(items) for _ in range(samples)]
    print(json.dumps(await asyncio.gather(*jobs)))
asyncio.run(main())
"""
ITEMS, SAMPLES, FLIGHT = 10, 4, 8


def harness(port: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HARNESS, *map(str, (port, ITEMS, SAMPLES, FLIGHT)), TOKEN]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


async def whole(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    output, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    return [(number, text) for number, text in json.loads(output)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("killed", ["harness", "gateway", "both"])
def test_a_kill_costs_no_more_than_what_it_cuts(tmp_path: Path, killed: str, seed: int) -> None:
    """Kill three times at random moments, and let the fourth attempt end."""
    chance = random.Random(f"{killed} {seed}")
    needed, numbers = ITEMS * SAMPLES, itertools.count(1)
    answered = 0

    async def script(asked: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await counting(chance.uniform(0.01, 0.05), numbers)(asked, writer)
        answered += 1

    async def attempt(endpoint: Endpoint, last: bool) -> None:
        with gateway(tmp_path, endpoint) as process:
            popen, before = harness(process.port), len(endpoint.asked)
            if last:
                texts = await whole(popen)
                for number in range(ITEMS):
                    assert len({text for item, text in texts if item == number}) == SAMPLES
            else:
                goal = before + chance.randint(1, 10)
                await until(lambda: len(endpoint.asked) >= goal or popen.poll() is not None)
                if killed != "harness":
                    process.popen.kill()
                    await process.ended()
                popen.kill()
                await asyncio.to_thread(popen.communicate)
            if last or killed == "harness":
                process.parent_dies()
                assert await process.ended() == 0
            if last:
                assert process.summary["not_asked_again"] == 0

    async def scenario() -> None:
        endpoint = await started(script)
        for last in (False, False, False, True):
            await asyncio.to_thread(summary.wait_for_end, tmp_path / "gateway", time.sleep)
            await until(lambda: len(endpoint.asked) == answered)
            await attempt(endpoint, last)
        again = len(endpoint.asked) - needed
        assert again == 0 if killed == "harness" else again <= 3 * FLIGHT

    run(scenario())


def test_the_parents_death_lets_requests_end_and_keeps_their_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting(0.5))
        with gateway(tmp_path, endpoint) as process:
            under_way = asyncio.ensure_future(process.post({"messages": []}))
            await until(lambda: len(endpoint.asked) == 1)
            process.parent_dies()
            await until(lambda: json.loads((tmp_path / "summary.json").read_text()) is not None)
            assert (await under_way).status == 200
            assert await process.ended() == 0
            assert process.summary["answers"]["asked"] == 1
        assert not (tmp_path / "gateway").exists()
        with gateway(tmp_path, endpoint) as process:
            assert "answer 1" in (await process.post({"messages": []})).body.decode()
            assert len(endpoint.asked) == 1

    run(scenario())


def test_a_draining_gateway_refuses_new_requests(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting(1))
        with gateway(tmp_path, endpoint) as process:
            under_way = asyncio.ensure_future(process.post({"messages": []}))
            await until(lambda: len(endpoint.asked) == 1)
            process.popen.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            refused = await process.post({"messages": [1]})
            assert (refused.status, len(endpoint.asked)) == (503, 1)
            assert (await under_way).status == 200

    run(scenario())


@pytest.mark.parametrize("how", ["grace", "second signal"])
def test_a_drain_ends_after_its_grace_or_by_a_second_signal(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        endpoint = await started(counting(60))
        with gateway(tmp_path, endpoint, grace=0.5 if how == "grace" else 60) as process:
            under_way = asyncio.ensure_future(process.post({"messages": []}))
            await until(lambda: len(endpoint.asked) == 1)
            process.popen.terminate()
            await asyncio.sleep(0.2)
            assert process.popen.poll() is None
            if how == "second signal":
                process.popen.terminate()
            assert await process.ended() == 0
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                await under_way

    run(scenario())


def test_a_second_gateway_of_one_evaluation_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        with gateway(tmp_path, endpoint), gateway(tmp_path, endpoint) as second:
            assert await second.ended() == 2

    run(scenario())


def test_a_full_disk_ends_the_attempt_and_spends_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        (tmp_path / "model").write_text("a file instead of the journal's folder")
        with gateway(tmp_path, endpoint) as process:
            try:
                status = (await process.post({"messages": []})).status
            except (ConnectionError, http.client.HTTPException):
                status = 0
            assert status in (0, 502)
            assert await process.ended() == 3
            assert process.popen.stderr is not None
            assert "cannot be written" in process.popen.stderr.read()
        assert len(endpoint.asked) == 1

    run(scenario())


def test_the_key_is_in_no_file_argument_or_environment(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        with gateway(tmp_path, endpoint) as process:
            await process.post({"messages": []})
            assert endpoint.asked[0].headers["authorization"] == f"Bearer {KEY}"
            place = Path(f"/proc/{process.popen.pid}")
            assert KEY not in (place / "cmdline").read_text()
            assert (place / "environ").stat().st_uid == 0  # not dumpable: only root reads it
            assert KEY.encode() not in (place / "environ").read_bytes()
            await asyncio.sleep(1.2)
            process.parent_dies()
            await process.ended()
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or KEY.encode() not in path.read_bytes()

    run(scenario())


@pytest.mark.root
@pytest.mark.parametrize("protected", [True, False])
def test_another_process_of_the_user_cannot_read_the_memory_of_the_gateway(protected: bool) -> None:
    """Without the protection it can; so the test would notice if the protection did nothing."""
    script = (
        "import ctypes, os, time\n"
        "from snakeval.ledger.__main__ import protect\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        # A change of user protects a process already.
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        f"{'protect()' if protected else ''}\n"
        "print('ready', flush=True)\n"
        "time.sleep(30)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        look = subprocess.run(
            ["cat", f"/proc/{process.pid}/environ"],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
        assert bool(look.stdout) is not protected
        assert (b"Permission denied" in look.stderr) is protected
    finally:
        process.kill()
        process.communicate()


def test_a_moved_server_is_asked_at_its_new_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        old, new = await started(counting()), await started(counting())
        with gateway(tmp_path, old, served=True) as process:
            await process.post({"messages": []})
            process.order(upstream="model", url=f"http://127.0.0.1:{new.port}{CHAT}")
            await asyncio.sleep(0.3)
            await process.post({"messages": [1]})
            assert (len(old.asked), len(new.asked)) == (1, 1)

    run(scenario())


def test_the_summary_is_written_while_the_gateway_lives(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        with gateway(tmp_path, endpoint) as process:
            await process.post({"messages": []})
            await until(lambda: process.summary["requests"] == 1)
            found = process.summary
            assert found["answers"] == {"asked": 1, "journal": 0, "joined": 0}
            assert found["tokens"] == {"prompt": 3, "completion": 5}
            assert found["latency"]["whole"]["median"] > 0

    run(scenario())
