"""Requests in every form of HTTP: after a kill, the k-th equal one gets the k-th answer."""

from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.gateways import gateway, started
from support.ledger import CHAT, TOKEN, Asked, answer, completion, run

#: Makes the bytes of a request in the attempt of a number, to a port.
Made = Callable[[int, int], bytes]
BODY = json.dumps({"messages": [{"role": "user", "content": "2 + 2?"}]}).encode()


def request(
    body: bytes = BODY, *headers: str, path: str = CHAT, first: str = "", version: str = "1.1"
) -> bytes:
    line = f"POST {first or '/model' + path} HTTP/{version}"
    own = [] if any(h.lower().startswith(("content-length", "transfer")) for h in headers) else [
        f"Content-Length: {len(body)}"
    ]  # fmt: skip
    head = [line, "Host: x", f"Authorization: Bearer {TOKEN}", *headers, *own, "", ""]
    return "\r\n".join(head).encode() + body


def asking(**more: object) -> bytes:
    return json.dumps({**json.loads(BODY), **more}).encode()


def pieces(body: bytes, size: int) -> bytes:
    cut = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in cut) + b"0\r\n\r\n"


def multipart(boundary: str) -> bytes:
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = part.encode() + bytes(range(256)) + f"\r\n--{boundary}--\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary={boundary}"
    return request(body, kind, path="/v1/audio/transcriptions")


def image(attempt: int) -> bytes:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(200_000)).decode()
    return asking(image_url={"url": url})


CASES: dict[str, Made] = {
    "a stream with options": lambda n, _: request(
        asking(stream=True, stream_options={"include_usage": True})
    ),
    "chunks of another size": lambda n, _: request(
        pieces(BODY, 7 + n), "Transfer-Encoding: chunked"
    ),
    "gzip of another time": lambda n, _: request(
        gzip.compress(BODY, mtime=n), "Content-Encoding: gzip"
    ),
    "expect": lambda n, _: request(BODY, "Expect: 100-continue"),
    "http 1.0": lambda n, _: request(BODY, version="1.0"),
    "multipart of another boundary": lambda n, _: multipart(f"boundary{n}"),
    "an image": lambda n, _: request(image(n)),
    "ten megabytes": lambda n, _: request(asking(user="x" * 10_000_000)),
    "duplicate headers": lambda n, _: request(
        BODY, "Accept: a/b", "Accept: c/d", f"X-Request-Id: {n}", f"X-Request-Id: {n + 5}"
    ),
    "an absolute url": lambda n, port: request(BODY, first=f"http://127.0.0.1:{port}/model{CHAT}"),
    "a trailing slash": lambda n, _: request(BODY, path=f"{CHAT}/"),
    "percent signs": lambda n, _: request(BODY, path="/v1/models/a%2Fb%20c/chat?x=%7E&y"),
}


#: Cases of clients that wait for an answer before they send more.
WAITING = ("http 1.0", "expect")


async def send(port: int, sent: bytes, count: int) -> list[str]:
    """Send a request on one connection *count* times at once; return the numbers of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent * count)
    received = b""
    # A client that leaves before the end has not received its answer.
    end = b"[DONE]\n\n" if b'"stream"' in sent else b'"completion_tokens": 5}}'
    while received.count(end) < count:
        piece = await asyncio.wait_for(reader.read(1 << 16), 30)
        assert piece, received
        received += piece
    writer.close()
    return [number.decode() for number in re.findall(rb"answer (\d+)", received)]


@pytest.mark.parametrize(
    ("made", "pipelined"),
    [
        pytest.param(made, pipelined, id=f"{name}, pipelined" if pipelined else name)
        for name, made in CASES.items()
        for pipelined in (False, True)
        if not pipelined or name not in WAITING
    ],
)
def test_after_a_kill_an_equal_request_gets_its_answer(
    tmp_path: Path, made: Made, pipelined: bool
) -> None:
    numbers = itertools.count(1)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        text = f"answer {next(numbers)}"
        if b'"stream"' not in asked.body:
            writer.write(answer(completion(text)))
            return
        piece = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        body = f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body)

    async def attempt(port: int, number: int) -> list[str]:
        sent = made(number, port)
        if pipelined:
            return await send(port, sent, 2)
        return [answered for _ in range(2) for answered in await send(port, sent, 1)]

    async def scenario() -> None:
        endpoint = await started(script)
        with gateway(tmp_path, endpoint) as first:
            before = await attempt(first.port, 1)
        assert sorted(before) == ["1", "2"]
        with gateway(tmp_path, endpoint) as second:
            assert await attempt(second.port, 2) == before
        assert len(endpoint.asked) == 2

    run(scenario())
