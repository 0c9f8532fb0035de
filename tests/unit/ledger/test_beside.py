"""Tests of a gateway beside a harness: who ends with whom, and who waits for whom."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import snakeval.ledger.beside as beside_module
from snakeval.ledger.beside import Gateway, NotStarted, beside
from support.gateways import started
from support.ledger import (
    CHAT,
    KEY,
    Asked,
    Endpoint,
    Received,
    answer,
    ask,
    completion,
    counting,
    run,
    until,
)


def upstream(endpoint: Endpoint, **more: Any) -> dict[str, dict[str, Any]]:
    url = f"http://127.0.0.1:{endpoint.port}{CHAT}"
    return {"model": {"url": url, "identity": "i", "key": KEY, "proxy": False, **more}}


async def post(gateway: Gateway, data: Any) -> Received:
    path = gateway.urls["model"].split("/", 3)[3]
    headers = {"Authorization": f"Bearer {gateway.token}"}
    body = json.dumps(data).encode()
    return await asyncio.to_thread(ask, gateway.port, "POST", f"/{path}", body, headers)


def never(reason: str) -> None:
    raise AssertionError(reason)


def test_a_harness_asks_at_the_gateways_url_with_the_token_of_its_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint, tokens = await started(counting()), set()
        for _ in range(2):
            with beside(tmp_path, upstream(endpoint), never) as gateway:
                assert gateway.urls["model"] == f"http://127.0.0.1:{gateway.port}/model{CHAT}"
                assert (await post(gateway, {})).status == 200
                tokens.add(gateway.token)
        assert len(endpoint.asked) == 1
        assert len(tokens) == 2
        assert {len(token) for token in tokens} == {32}
        found = json.loads((tmp_path / "summary.json").read_text())
        assert found["upstreams"]["model"]["answers"]["journal"] == 1

    run(scenario())


def test_a_gateway_that_dies_ends_the_attempt_with_a_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        reasons: list[str] = []
        with beside(tmp_path, upstream(endpoint), reasons.append) as gateway:
            os.kill(gateway._process.pid, signal.SIGKILL)
            await until(lambda: bool(reasons))
            assert reasons == ["the gateway ended: exit code -9"]

    run(scenario())


def test_a_full_disk_is_the_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        reasons: list[str] = []
        (tmp_path / "model").write_text("a file instead of the journal's folder")
        with beside(tmp_path, upstream(endpoint), reasons.append) as gateway:
            task = asyncio.ensure_future(post(gateway, {}))
            await until(lambda: bool(reasons))
            assert "cannot be written" in reasons[0]
            await asyncio.wait([task])
            task.exception()

    run(scenario())


def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint = await started(counting())
        options = upstream(endpoint, cert="/none.pem", url="https://localhost/v1")
        with pytest.raises(NotStarted, match=r"/none\.pem"), beside(tmp_path, options, never):
            pass
        assert not (tmp_path / "gateway").exists()

    run(scenario())


OWNER = """
import json, sys, time
from pathlib import Path
from snakeval.ledger.beside import beside
with beside(Path(sys.argv[1]), json.loads(sys.argv[2]), print) as gateway:
    print(gateway.port, gateway.token, flush=True)
    time.sleep(1800)
"""


def test_the_next_attempt_waits_for_the_gateway_of_a_killed_owner(tmp_path: Path) -> None:
    async def scenario() -> None:
        loop, waited = asyncio.get_running_loop(), asyncio.Event()

        async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await waited.wait()
            writer.write(answer(completion("kept")))

        endpoint = await started(script)
        argv = [sys.executable, "-c", OWNER, str(tmp_path), json.dumps(upstream(endpoint))]
        owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        port, token = (await asyncio.to_thread(owner.stdout.readline)).split()
        headers = {"Authorization": f"Bearer {token}"}
        path = f"/model{CHAT}"
        task = asyncio.ensure_future(
            asyncio.to_thread(ask, int(port), "POST", path, b"{}", headers)
        )
        await until(lambda: len(endpoint.asked) == 1)
        owner.kill()
        owner.communicate()

        def pause(seconds: float) -> None:
            loop.call_soon_threadsafe(waited.set)
            time.sleep(seconds)

        def again() -> str:
            with beside(tmp_path, upstream(endpoint), never, pause=pause) as gateway:
                headers = {"Authorization": f"Bearer {gateway.token}"}
                return ask(gateway.port, "POST", path, b"{}", headers).body.decode()

        assert "kept" in await asyncio.to_thread(again)
        assert waited.is_set()
        assert len(endpoint.asked) == 1
        assert (await task).status == 200

    run(scenario())


def test_the_package_imports_only_the_standard_library() -> None:
    """It runs in containers that have Python 3.9 and nothing else."""
    package = Path(beside_module.__file__).parent
    foreign = set()
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            foreign |= {name for name in names if not name.startswith("snakeval.ledger")}
    assert {name for name in foreign if name.split(".")[0] not in sys.stdlib_module_names} == set()


class Ended:
    """A gateway's process that ends with a code, perhaps before anyone asks."""

    def __init__(self, code: int, *, ended_before: bool, hangs: bool) -> None:
        self._code, self._ended_before, self._hangs, self.pid = code, ended_before, hangs, 1
        self.stdin, self.stderr = io.StringIO(), io.StringIO("error: the disk is full\n")

    def poll(self) -> int | None:
        return self._code if self._ended_before else None

    def wait(self, timeout: float = 0) -> int:
        if self._hangs:
            raise subprocess.TimeoutExpired("gateway", timeout)
        return self._code

    def kill(self) -> None:
        self._hangs = False


@pytest.mark.parametrize(
    ("code", "ended_before", "hangs", "is_lost"),
    [
        pytest.param(-9, True, False, True, id="killed"),
        pytest.param(-9, False, False, True, id="killed and seen to end only later"),
        pytest.param(3, False, False, True, id="full disk"),
        pytest.param(0, False, False, False, id="drained"),
        pytest.param(-9, False, True, False, id="killed by its owner at last"),
    ],
)
def test_a_gateway_that_ends_just_before_its_harness_is_lost(
    code: int, ended_before: bool, hangs: bool, is_lost: bool
) -> None:
    """The harness may end before another thread has noticed the gateway's end."""
    reasons: list[str] = []
    process: Any = Ended(code, ended_before=ended_before, hangs=hangs)
    gateway = Gateway(process, 1, {}, "token")
    gateway.drain(0)
    gateway.watch(reasons.append)
    assert reasons == ["the gateway ended: the disk is full"] * is_lost
