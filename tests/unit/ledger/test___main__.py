"""Tests of the gateway's process: how it starts, drains, moves and ends, and where the key is."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.gateways import gateway, started
from support.ledger import CHAT, KEY, counting, run, until


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
            await until(lambda: process.drains)
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
            await until(lambda: process.drains)
            if how == "second signal":
                assert process.popen.poll() is None
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
        "time.sleep(1800)\n"
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
