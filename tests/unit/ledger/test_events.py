"""Tests of streams of server-sent events (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.ledger.events import Events

STREAM = (
    b': a comment\n\nevent: delta\ndata: {"a":\ndata: 1}\n\n'
    b'data:{"b": "\xc3\xa9"}\n\nid: 7\n\ndata: not json\n\ndata: [DONE]\n\n'
)


@given(st.lists(st.integers(0, len(STREAM))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_is_equal_however_the_network_cuts_it(places: list[int], line_end: bytes) -> None:
    stream, events = STREAM.replace(b"\n", line_end), Events()
    ends = sorted({*places, 0, len(stream)})
    for a, b in pairwise(ends):
        events.feed(stream[a:b])
    events.close()
    assert events.chunks == [{"a": 1}, {"b": "é"}]
    assert (events.begun, events.ended, events.error) == (True, True, None)


def test_a_comment_does_not_begin_an_answer() -> None:
    events = Events()
    events.feed(b": PROCESSING\n\n")
    assert not events.begun


@pytest.mark.parametrize(
    "stream",
    [
        b"data: [DONE]\n",
        b"data: [DONE]",
        b'event: response.completed\ndata: {"response": {}}\n\n',
        b'data: {"type": "message_stop"}\n\n',
    ],
)
def test_the_end_of_an_answer(stream: bytes) -> None:
    events = Events()
    events.feed(stream)
    events.close()
    assert events.ended


@pytest.mark.parametrize(
    "stream", [b'data: {"error": {"code": 500}}\n\n', b'event: error\ndata: {"message": "x"}\n\n']
)
def test_an_error_within_a_stream(stream: bytes) -> None:
    events = Events()
    events.feed(stream)
    assert events.error is not None
