"""Tests of streamed answers: they pass piece by piece, and their end waits for the journal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger.journal import Journal
from support.ledger import CHAT, TOKEN, Asked, bed, raw, run, until

HEAD = raw("200 OK", ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"])
QUESTION: dict[str, Any] = {"messages": [], "stream": True}


def event(data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {text}\n\n".encode()


def delta(text: str, finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


PIECES = [delta("fo"), delta("ur"), delta("", "stop"), event("[DONE]")]
WHOLE = b"".join(PIECES)


def streams(pieces: list[bytes], end: bytes = b"0\r\n\r\n", pause: float = 0.0) -> Any:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for piece in pieces:
            writer.write(chunk(piece))
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(end)
        if not end:
            writer.close()

    return script


class Reader:
    """A harness that reads a stream as it comes."""

    async def open(self, port: int) -> Reader:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(QUESTION).encode()
        head = f"POST /model{CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return self

    async def piece(self) -> bytes:
        size = int(await self.reader.readline(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


def test_each_piece_passes_when_it_comes(tmp_path: Path) -> None:
    more = asyncio.Event()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(PIECES[0]))
        await writer.drain()
        await more.wait()
        writer.write(b"".join(map(chunk, PIECES[1:])) + b"0\r\n\r\n")

    async def scenario() -> None:
        async with bed(tmp_path, script) as b:
            harness = await Reader().open(b.port)
            assert "text/event-stream" in harness.head
            assert await harness.piece() == PIECES[0]
            more.set()
            rest = b""
            while not rest.endswith(b"[DONE]\n\n"):
                rest += await harness.piece()
            assert rest == b"".join(PIECES[1:])

    run(scenario())


def test_the_end_passes_only_when_the_answer_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk = asyncio.Event()
    append = Journal.append

    async def slow(self: Journal, *args: Any) -> None:
        await on_disk.wait()
        await append(self, *args)

    monkeypatch.setattr(Journal, "append", slow)

    async def scenario() -> None:
        async with bed(tmp_path, streams(PIECES, pause=0.02)) as b:
            harness = await Reader().open(b.port)
            read = [await harness.piece() for _ in PIECES[:3]]
            assert read == PIECES[:3]
            rest = asyncio.ensure_future(harness.piece())
            await asyncio.sleep(0.2)
            assert not rest.done()
            on_disk.set()
            assert await rest == PIECES[3]

    run(scenario())


def test_a_stream_is_replayed_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        for asked in (1, 0):
            async with bed(tmp_path, streams(PIECES)) as b:
                received = await b.post(QUESTION)
                assert received.body == WHOLE
                assert received.header("Content-Type") == "text/event-stream"
                assert len(b.endpoint.asked) == asked
                assert b.counts["finish_reasons"] == {"stop": 1}

    run(scenario())


def test_a_harness_that_hangs_up_within_a_stream_gets_it_whole_the_next_time(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, streams(PIECES, pause=0.1)) as b:
            harness = await Reader().open(b.port)
            await harness.piece()
            harness.writer.close()
            assert (await b.post(QUESTION)).body == WHOLE
            assert len(b.endpoint.asked) == 1

    run(scenario())


def test_a_stream_that_breaks_after_its_first_piece_is_not_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, streams(PIECES[:2], end=b"", pause=0.02)) as b:
            harness = await Reader().open(b.port)
            assert await harness.piece() == PIECES[0]
            assert await harness.piece() == PIECES[1]
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
                await harness.piece()
            assert len(b.endpoint.asked) == 1
            await until(lambda: b.gateway.under_way == 0)
        async with bed(tmp_path, streams(PIECES)) as b:
            assert (await b.post(QUESTION)).body == WHOLE

    run(scenario())


def test_a_stream_that_breaks_before_its_first_event_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.ledger.retries.FIRST_PAUSE", 0.01)
    broken, whole = streams([b": keep-alive\n\n", b"data: {"], end=b""), streams(PIECES)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (broken if len(b.endpoint.asked) == 1 else whole)(asked, writer)

    async def scenario() -> None:
        nonlocal b
        async with bed(tmp_path, script) as b:
            assert (await b.post(QUESTION)).body == WHOLE
            assert len(b.endpoint.asked) == 2

    b: Any = None
    run(scenario())


def test_a_stream_that_begins_with_an_error_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakeval.ledger.retries.FIRST_PAUSE", 0.01)
    wrong, whole = streams([event({"error": {"message": "busy"}})]), streams(PIECES)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (wrong if len(b.endpoint.asked) == 1 else whole)(asked, writer)

    async def scenario() -> None:
        nonlocal b
        async with bed(tmp_path, script) as b:
            assert (await b.post(QUESTION)).body == WHOLE
            assert b.counts["causes"] == {"error": 1}

    b: Any = None
    run(scenario())


@pytest.mark.parametrize(
    "pieces",
    [
        [*PIECES[:3]],  # no end
        [*PIECES[:2], event({"error": {"message": "out of memory"}}), PIECES[3]],
    ],
)
def test_a_stream_without_a_sound_end_is_not_kept(tmp_path: Path, pieces: list[bytes]) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, streams(pieces, pause=0.01), tries=1) as b:
            harness = await Reader().open(b.port)
            assert await harness.piece() == pieces[0]
            await until(lambda: b.gateway.under_way == 0)
        async with bed(tmp_path, streams(PIECES)) as b:
            await b.post(QUESTION)
            assert len(b.endpoint.asked) == 1

    run(scenario())


def test_a_stream_of_the_responses_route_ends_with_its_last_event(tmp_path: Path) -> None:
    usage = {"input_tokens": 3, "output_tokens": 7}
    response = {"object": "response", "status": "completed", "output": [{}], "usage": usage}
    pieces = [
        b'event: response.output_text.delta\r\ndata: {"delta": "4"}\r\n\r\n',
        b"event: response.completed\r\n"
        + f"data: {json.dumps({'type': 'response.completed', 'response': response})}".encode()
        + b"\r\n\r\n",
    ]

    async def scenario() -> None:
        for asked in (1, 0):
            async with bed(tmp_path, streams(pieces)) as b:
                assert (await b.post(QUESTION, "/v1/responses")).body == b"".join(pieces)
                assert len(b.endpoint.asked) == asked
                assert b.counts["tokens"] == {"prompt": 3, "completion": 7}

    run(scenario())
