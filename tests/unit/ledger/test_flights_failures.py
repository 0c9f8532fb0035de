"""Tests of failures of the endpoint: what is tried again, what passes, and what is never kept."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from support.ledger import CHAT, TOKEN, Asked, answer, bed, completion, counting, raw, run, says

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}], "temperature": 0.7}


@pytest.mark.parametrize(
    ("unsound", "status"),
    [
        (answer({"error": {"message": "the engine is dead"}}), 502),
        (answer({"choices": []}), 200),
        (answer({"detail": "the model loads"}), 200),
        (raw("200 OK", ["Content-Type: text/html", "Content-Length: 13"], b"<html></html>"), 200),
        (raw("200 OK", ["Content-Type: application/json", "Content-Length: 3"], b"{ab"), 200),
        (raw("200 OK", ["Content-Length: 0"]), 200),
        (answer({"message": "bad"}, "403 Forbidden"), 403),
        (answer({"message": "dead"}, "500 Internal Server Error"), 500),
        (answer({"message": "wait"}, "429 Too Many Requests"), 429),
    ],
)
def test_an_answer_that_is_not_sound_is_passed_on_and_not_kept(
    tmp_path: Path, unsound: bytes, status: int
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(unsound), tries=1, deadline=0) as b:
            assert (await b.post(QUESTION)).status == status
            assert b.counts["failed"] == 1
        async with bed(tmp_path, counting()) as b:
            assert "answer 1" in (await b.post(QUESTION)).body.decode()

    run(scenario())


@pytest.mark.parametrize(
    "failure",
    [
        answer({"error": {"message": "overloaded"}}),
        answer({}, "500 Internal Server Error"),
        answer({}, "502 Bad Gateway"),
        answer({}, "503 Service Unavailable", "Retry-After: 0.05"),
        answer({}, "429 Too Many Requests", "Retry-After: 0.05"),
        raw("200 OK", ["Content-Length: 100"], b"cut"),
        b"nonsense\r\n\r\n",
    ],
)
def test_a_failure_of_the_endpoint_is_tried_again_and_never_seen(
    tmp_path: Path, failure: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.ledger.retries.FIRST_PAUSE", 0.01)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(b.endpoint.asked) < 3:
            writer.write(failure)
            if b"429" not in failure and b"Retry" not in failure:
                writer.close()
        else:
            writer.write(answer(completion("4")))

    async def scenario() -> None:
        nonlocal b
        async with bed(tmp_path, script) as b:
            received = await b.post(QUESTION)
            assert (received.status, len(b.endpoint.asked)) == (200, 3)
            assert b.counts["tries"] == 3
            assert sum(b.counts["causes"].values()) == 2
            assert sum(b.counts["waits"].values()) > 0

    b: Any = None
    run(scenario())


def test_retry_after_is_waited_out(tmp_path: Path) -> None:
    refused = answer({}, "429 Too Many Requests", "Retry-After: 1")

    async def scenario() -> None:
        async with bed(tmp_path, says(refused, answer(completion("4")))) as b:
            began = asyncio.get_running_loop().time()
            assert (await b.post(QUESTION)).status == 200
            assert asyncio.get_running_loop().time() - began >= 1
            assert b.counts["waits"]["429"] == 1

    run(scenario())


def test_a_pause_beyond_the_deadline_ends_the_tries(tmp_path: Path) -> None:
    refused = answer({}, "429 Too Many Requests", "Retry-After: 900")

    async def scenario() -> None:
        async with bed(tmp_path, says(refused), deadline=600) as b:
            received = await b.post(QUESTION)
            assert (received.status, received.header("Retry-After")) == (429, "900")
            assert len(b.endpoint.asked) == 1

    run(scenario())


def test_a_late_answer_is_tried_again(tmp_path: Path) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1800 if len(b.endpoint.asked) == 1 else 0)
        writer.write(answer(completion("4")))

    async def scenario() -> None:
        nonlocal b
        async with bed(tmp_path, script, timeout=5) as b:
            assert (await b.post(QUESTION)).status == 200
            assert b.counts["causes"] == {"timeout": 1}

    b: Any = None
    run(scenario())


def test_the_last_try_that_got_no_answer_says_why(tmp_path: Path) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scenario() -> None:
        async with bed(tmp_path, script, tries=1) as b:
            received = await b.post(QUESTION)
            assert received.status == 502
            assert "closed the connection" in received.data["error"]["message"]

    run(scenario())


@pytest.mark.parametrize("ends", ["closes", "resets"])
def test_an_answer_that_arrived_is_never_the_next_sample(tmp_path: Path, ends: str) -> None:
    """A clock of the harness may run out while its answer arrives: it is paid, and not used."""

    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
            if ends == "resets":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            body = json.dumps(QUESTION).encode()
            head = f"POST /model{CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await reader.readuntil(b"answer 1")
            writer.close()
            others = [(await b.post(QUESTION)).body for _ in range(2)]
            assert [b"answer 2" in others[0], b"answer 3" in others[1]] == [True, True]
            assert len(b.endpoint.asked) == 3

    run(scenario())
