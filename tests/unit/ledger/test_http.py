"""Tests of HTTP/1.1 messages as bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.ledger import http
from snakeval.ledger.http import CHUNKED, UNTIL_CLOSE, BadMessage, Reader, parse_head


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


def read(pieces: list[bytes], ending: int | None = None) -> tuple[bytes, bool]:
    reader, body, head = Reader(), b"", None
    for piece in pieces:
        reader.feed(piece)
        if head is None:
            head = reader.head()
            if head is not None:
                reader.expect(http.request_body(head) if ending is None else ending)
        if head is not None:
            body += reader.take()
    return body, reader.close()


@given(st.binary(max_size=300), st.lists(st.integers(0, 400)), st.lists(st.integers(1, 60)))
def test_a_body_is_equal_however_the_network_cuts_it(
    body: bytes, places: list[int], sizes: list[int]
) -> None:
    head = b"POST / HTTP/1.1\r\n"
    sized = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert read(cut(sized, places)) == (body, True)
    chunks, at = b"", 0
    for size in [*sizes, len(body) + 1]:
        chunks += http.chunk(body[at : at + size]) if body[at : at + size] else b""
        at += size
    message = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + http.chunk(b"")
    assert read(cut(message, places)) == (body, True)


@given(st.binary(min_size=1, max_size=50), st.integers(0, 100))
def test_a_body_that_is_cut_short_is_not_whole(body: bytes, place: int) -> None:
    message = http.chunk(body) + http.chunk(b"")
    short = message[: place % len(message)]
    assert read([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", short])[1] is False
    sized = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert read([sized, body[: place % len(body)]])[1] is False


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert read([b"HTTP/1.1 200 OK\r\n\r\n", b"ab", b"c"], UNTIL_CLOSE) == (b"abc", True)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\nName : blank before the colon",
        b"GET / HTTP/1.1\r\nName : blank before the colon",
        b"GET / HTTP/1.1\r\nA: 1\r\n continued: line",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\n: no name",
        b"GET / HTTP/1.1\r\nA: a\x00b",
        b"GET / HTTP/1.1\r\nA: a\rb",
        b"GET / HTTP/1.1\r\nA: a\nB: b",
        b"",
        b"nonsense",
    ],
)
def test_a_head_that_two_readers_could_read_differently_is_an_error(head: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_head(head)


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Content-Length: 1x",
        "Content-Length: \xb2",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
    ],
)
def test_a_request_without_a_certain_end_is_an_error(headers: str) -> None:
    head = parse_head(f"POST / HTTP/1.1\r\n{headers}".encode("latin-1"))
    with pytest.raises(BadMessage):
        http.request_body(head)


def test_equal_lengths_are_one_length() -> None:
    head = parse_head(b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\nContent-Length: 5")
    assert http.request_body(head) == 5


@pytest.mark.parametrize(
    ("first", "headers", "method", "ending"),
    [
        ("200 OK", "Content-Length: 7", "POST", 7),
        ("200 OK", "Content-Length: 7", "HEAD", 0),
        ("204 No Content", "", "POST", 0),
        ("304 Not Modified", "Content-Length: 7", "GET", 0),
        ("200 OK", "", "POST", UNTIL_CLOSE),
        ("200 OK", "Transfer-Encoding: chunked\r\nContent-Length: 7", "POST", CHUNKED),
        ("200 OK", "Transfer-Encoding: gzip", "POST", UNTIL_CLOSE),
    ],
)
def test_the_end_of_a_response(first: str, headers: str, method: str, ending: int) -> None:
    head = parse_head(f"HTTP/1.1 {first}\r\n{headers}".strip().encode())
    assert http.response_body(head, method) == ending


def test_a_head_has_a_largest_size() -> None:
    reader = Reader()
    reader.feed(b"GET / HTTP/1.1\r\nA: " + b"a" * http.MAX_HEAD)
    with pytest.raises(BadMessage) as error:
        reader.head()
    assert error.value.status == 431


@pytest.mark.parametrize("line", [b"xyz\r\n", b"-1\r\n", b"\r\n", b"0x5\r\n", b"1" * 16 + b"\r\n"])
def test_a_chunk_without_a_length_is_an_error(line: bytes) -> None:
    with pytest.raises(BadMessage):
        read([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + line])


def test_a_chunk_that_is_longer_than_its_length_is_an_error() -> None:
    with pytest.raises(BadMessage):
        read([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"])


def test_headers_of_one_connection_do_not_pass() -> None:
    headers = [
        ("Connection", "close, X-Own"),
        ("X-Own", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("X-Passed", "2"),
    ]
    assert http.end_to_end(headers) == [("X-Passed", "2")]


@pytest.mark.parametrize(
    ("head", "persistent"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", True),
        (b"GET / HTTP/1.1", True),
        (b"GET / HTTP/1.0", False),
    ],
)
def test_how_long_a_connection_stays(head: bytes, persistent: bool) -> None:
    assert parse_head(head).persistent is persistent
