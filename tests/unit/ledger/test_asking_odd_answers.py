"""Tests that odd answers of an endpoint reach the harness with equal status, headers and bytes.

Each answer is asked for directly and through the gateway, and both are compared. Headers of one
connection only (RFC 9110, 7.6.1) and the length of a body may differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import zlib
from pathlib import Path

import pytest

from support.ledger import CHAT, KEY, TOKEN, answer, ask, bed, completion, raw, run, says
from support.limits import HUNG

JSON = "Content-Type: application/json"
BODY = json.dumps(completion("four, é, \U0001f40d")).encode()
OWN = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def chunked(body: bytes, *sizes: int) -> bytes:
    pieces, at = [], 0
    for size in (*sizes, len(body)):
        piece = body[at : at + size]
        at += len(piece)
        if piece:
            pieces.append(b"%X;extension=1\r\n%b\r\n" % (len(piece), piece))
    return b"".join(pieces) + b"0\r\nTrailer-Field: x\r\n\r\n"


def sized(status: str, body: bytes, *headers: str) -> bytes:
    return raw(status, [JSON, f"Content-Length: {len(body)}", *headers], body)


LARGE = json.dumps(completion(os.urandom(10_000_000).hex())).encode()
DEFLATED = zlib.compress(BODY)
ZIPPED = gzip.compress(BODY, mtime=0)
ODD = {
    "plain": answer(completion("4")),
    "gzip": sized("200 OK", ZIPPED, "Content-Encoding: gzip"),
    "deflate": sized("200 OK", DEFLATED, "Content-Encoding: deflate"),
    "a coding that the gateway does not know": sized("200 OK", b"\x01br", "Content-Encoding: br"),
    "chunks with extensions and trailers": raw(
        "200 OK", [JSON, "Transfer-Encoding: chunked"], chunked(BODY, 1, 2, 30)
    ),
    "gzip in chunks": raw(
        "200 OK", [JSON, "Transfer-Encoding: chunked", "Content-Encoding: gzip"], chunked(ZIPPED, 7)
    ),
    "no length, until the end of the connection": raw("200 OK", [JSON, "Connection: close"], BODY),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + JSON.encode() + b"\r\n\r\n" + BODY,
    "headers twice": sized("200 OK", BODY, "X-Request-Id: 1", "x-request-id: 2", "Set-Cookie: a=1"),
    "an empty header": sized("200 OK", BODY, "X-Empty:"),
    "latin-1 in a header": sized("200 OK", BODY, "X-Name: caf\xe9").replace(b"\xc3\xa9", b"\xe9"),
    "an own reason": sized("200 Fine By Me", BODY),
    "no reason": sized("200 ", BODY),
    "201": sized("201 Created", BODY),
    "204 without a body": raw("204 No Content", ["X-Kind: empty"]),
    "an interim answer first": raw("100 Continue", []) + sized("200 OK", BODY),
    "a redirect to another host": raw(
        "307 Temporary Redirect", ["Location: https://other.invalid/", "Content-Length: 0"]
    ),
    "400": sized("400 Bad Request", b'{"error": {"message": "too long"}}'),
    "401": sized("401 Unauthorized", b'{"error": "no"}', "WWW-Authenticate: Bearer"),
    "404 in plain text": raw(
        "404 Not Found", ["Content-Type: text/plain", "Content-Length: 4"], b"none"
    ),
    "422": sized("422 Unprocessable Entity", b'{"detail": []}'),
    "500 after its tries": sized("500 Internal Server Error", b'{"error": "dead"}'),
    "429 after its deadline": sized("429 Too Many Requests", b"{}", "Retry-After: 9"),
    "20 MB": sized("200 OK", LARGE),
    "bytes that are no text": raw(
        "200 OK", ["Content-Type: audio/mpeg", "Content-Length: 256"], bytes(range(256))
    ),
    "a number for JSON": sized("200 OK", b"42"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_answer_passes_unchanged_and_is_replayed_unchanged(
    tmp_path: Path, kind: str
) -> None:
    async def scenario() -> None:
        request = b'{"messages": [], "temperature": 0}'
        headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
        closes = "until" in kind or "1.0" in kind

        async def script(asked: object, writer: asyncio.StreamWriter) -> None:
            writer.write(ODD[kind])
            if closes:
                await writer.drain()
                writer.close()

        async with bed(tmp_path, script, tries=1, deadline=0) as b:
            direct = await asyncio.to_thread(ask, b.endpoint.port, "POST", CHAT, request, headers)
            passed = await b.post(request)
        async with bed(tmp_path, script, tries=1, deadline=0) as b:
            again = await b.post(request)
        assert seen(passed) == seen(direct)
        known = [pair for pair in seen(direct)[2] if pair[0] != "set-cookie"]
        assert (seen(again)[2] == known) or seen(again) == seen(direct)
        assert again.body == direct.body

    def seen(received: object) -> tuple[int, str, list[tuple[str, str]], bytes]:
        headers = [(k.lower(), v) for k, v in received.headers if k.lower() not in OWN]  # type: ignore[attr-defined]
        return received.status, received.reason, headers, received.body  # type: ignore[attr-defined]

    run(scenario())


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
def test_a_redirect_within_the_endpoint_is_followed_by_the_gateway(
    tmp_path: Path, status: str
) -> None:
    moved = raw(status, ["Location: /v2/models?x=1#part", "Content-Length: 0"])

    async def scenario() -> None:
        async with bed(tmp_path, says(moved, answer({"data": []}))) as b:
            assert (await b.ask("GET", "/v1/models")).data == {"data": []}
            assert [asked.target for asked in b.endpoint.asked] == ["/v1/models", "/v2/models?x=1"]
            assert b.endpoint.asked[1].headers["authorization"] == "Bearer sk-canary-key"

    run(scenario())


def test_a_request_keeps_its_method_and_body_over_a_308(tmp_path: Path) -> None:
    moved = raw("308 Permanent Redirect", [f"Location: {CHAT}/", "Content-Length: 0"])

    async def scenario() -> None:
        async with bed(tmp_path, says(moved, answer(completion("4")))) as b:
            assert (await b.post({"messages": []})).status == 200
            assert [(a.method, a.target) for a in b.endpoint.asked] == [
                ("POST", CHAT),
                ("POST", f"{CHAT}/"),
            ]
            assert b.endpoint.asked[1].data == {"messages": []}

    run(scenario())


@pytest.mark.parametrize("status", ["401 Unauthorized", "500 Internal Server Error", "200 OK"])
def test_a_key_that_an_error_repeats_reaches_no_harness(tmp_path: Path, status: str) -> None:
    error = {"error": {"message": f"no such key: {KEY}"}}

    async def scenario() -> None:
        wrong = answer(error, status, f"WWW-Authenticate: Bearer realm={KEY}")
        async with bed(tmp_path, says(wrong), tries=1) as b:
            received = await b.post({"messages": []})
            assert b.endpoint.asked[0].headers["authorization"] == f"Bearer {KEY}"
            assert received.data == {"error": {"message": f"no such key: {'*' * len(KEY)}"}}
            assert received.header("www-authenticate") == f"Bearer realm={'*' * len(KEY)}"

    run(scenario())


@pytest.mark.parametrize("status", ["401 Unauthorized", "200 OK"])
def test_a_key_in_a_coded_error_reaches_no_harness(tmp_path: Path, status: str) -> None:
    body = gzip.compress(json.dumps({"error": {"message": f"no such key: {KEY}"}}).encode())
    headers = ["Content-Type: application/json", "Content-Encoding: gzip"]
    wrong = raw(status, [*headers, f"Content-Length: {len(body)}"], body)

    async def scenario() -> None:
        async with bed(tmp_path, says(wrong), tries=1) as b:
            received = await b.post({"messages": []}, **{"Accept-Encoding": "gzip"})
            assert received.header("content-encoding") == ""
            assert received.data == {"error": {"message": f"no such key: {'*' * len(KEY)}"}}

    run(scenario())


@pytest.mark.parametrize("begun", [b"", b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'])
def test_a_key_in_the_error_of_a_stream_reaches_no_harness(tmp_path: Path, begun: bytes) -> None:
    body = begun + f'data: {{"error": {{"message": "no such key: {KEY}"}}}}\n\n'.encode()
    head = ["Content-Type: text/event-stream", f"Content-Length: {len(body)}"]

    async def scenario() -> None:
        async with bed(tmp_path, says(raw("200 OK", head, body)), tries=1) as b:
            sent = json.dumps({"messages": [], "stream": True}).encode()
            received = await asyncio.to_thread(_bytes_of_answer, b.port, sent)
            assert b"HTTP/1.1 " in received
            assert KEY.encode() not in received

    run(scenario())


def test_a_key_in_the_reason_of_an_error_reaches_no_harness(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(answer({}, f"401 No key {KEY}")), tries=1) as b:
            assert (await b.post({"messages": []})).reason == f"No key {'*' * len(KEY)}"

    run(scenario())


def _bytes_of_answer(port: int, body: bytes) -> bytes:
    """Return all bytes that a harness receives, also if the answer is not whole."""
    head = f"POST /model{CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=HUNG) as harness:
        harness.sendall(head.encode() + body)
        with contextlib.suppress(ConnectionResetError):
            while piece := harness.recv(65536):
                found += piece
    return found


@pytest.mark.parametrize(("key", "text"), [(KEY, f"your key is {KEY}"), ("error", "an error")])
def test_no_answer_changes_because_a_key_is_a_word_in_it(
    tmp_path: Path, key: str, text: str
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(answer(completion(text))), key=key) as b:
            received = await b.post({"messages": []})
            assert received.data == completion(text)

    run(scenario())


def test_an_error_in_a_200_reaches_the_harness_as_an_error(tmp_path: Path) -> None:
    """lm-eval reads a 200 without choices as an empty answer, and scores it."""

    async def scenario() -> None:
        wrong = answer({"error": {"message": "CUDA out of memory"}})
        async with bed(tmp_path, says(wrong), tries=1) as b:
            received = await b.post({"messages": []})
            assert received.status == 502
            assert received.data["error"]["message"] == "CUDA out of memory"

    run(scenario())


def test_connections_to_the_endpoint_are_kept_open(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(answer(completion("4")))) as b:
            for number in range(5):
                await b.post({"messages": [], "n": number})
            assert b.endpoint.connections == 1

    run(scenario())


def test_a_connection_that_the_endpoint_closed_meanwhile_costs_no_try(tmp_path: Path) -> None:
    async def script(asked: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(completion("4")))
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        async with bed(tmp_path, script, tries=1) as b:
            for number in range(5):
                assert (await b.post({"messages": [], "n": number})).status == 200
            assert b.counts["causes"] == {}

    run(scenario())
