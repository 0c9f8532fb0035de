"""Tests of what an answer is worth."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from snakeval.ledger.answers import (
    AWAY,
    BUSY,
    ERROR,
    FAILED,
    LIMITED,
    PASSED,
    SOUND,
    facts,
    judge,
)

JSON = [("Content-Type", "application/json")]


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        ({"choices": [{"message": {"content": "4"}}]}, SOUND),
        ({"choices": [{"text": ""}], "error": None}, SOUND),
        ({"object": "response", "output": [], "error": None}, SOUND),
        ({"data": [{"embedding": [0.5]}]}, SOUND),
        ({"tokens": [1]}, SOUND),
        ([1], SOUND),
        ({"error": {"message": "x"}}, ERROR),
        ({"error": "x", "choices": [{}]}, ERROR),
        ({"choices": []}, PASSED),
        ({"choices": None}, PASSED),
    ],
)
def test_an_answer_in_json(data: Any, verdict: str) -> None:
    body = json.dumps(data).encode()
    assert judge(200, JSON, body)[0] == verdict
    zipped = [*JSON, ("Content-Encoding", "gzip")]
    assert judge(200, zipped, gzip.compress(body))[0] == verdict


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("/v1/chat/completions", PASSED),
        ("/openai/deployments/m/chat/completions?api-version=1", PASSED),
        ("/v1/completions", PASSED),
        ("/completions", SOUND),
        ("/v1/embeddings", SOUND),
        ("/v1/responses", SOUND),
        ("/tokenize", SOUND),
        ("", SOUND),
    ],
)
def test_only_routes_of_choices_require_them(target: str, verdict: str) -> None:
    assert judge(200, JSON, b'{"detail": "the model loads"}', target)[0] == verdict
    for body in (b"no healthy upstream", b"[1]", b'"four"'):
        assert judge(200, [("Content-Type", "text/plain")], body, target)[0] == verdict
    said = b'{"choices": [{"text": "4", "message": {"content": "4"}}]}'
    for headers in (JSON, [("Content-Type", "text/plain")]):
        assert judge(200, headers, said, target)[0] == SOUND


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (429, LIMITED),
        (503, BUSY),
        (500, FAILED),
        (502, AWAY),
        (504, AWAY),
        (408, FAILED),
        (400, PASSED),
    ],
)
def test_a_status(status: int, verdict: str) -> None:
    assert judge(status, JSON, b'{"error": "x"}')[0] == verdict


@pytest.mark.parametrize(
    ("kind", "body", "verdict"),
    [
        ("text/html; charset=utf-8", b"<p>log in</p>", PASSED),
        ("text/plain", b"  <!DOCTYPE html><html>", PASSED),
        ("text/plain", b"four", SOUND),
        ("audio/mpeg", b"\xff\xfb", SOUND),
        ("application/json", b'{"choices": [', PASSED),
        ("application/problem+json", b"cut", PASSED),
        ("text/plain", b"", PASSED),
    ],
)
def test_an_answer_in_another_form(kind: str, body: bytes, verdict: str) -> None:
    assert judge(200, [("Content-Type", kind)], body)[0] == verdict


def test_a_damaged_or_unknown_coding_is_not_kept() -> None:
    for name, body in (("br", b"\x01"), ("gzip", b"no gzip"), ("gzip", gzip.compress(b"{}")[:-9])):
        assert judge(200, [*JSON, ("Content-Encoding", name)], body)[0] == PASSED


def test_the_facts_of_a_chat_answer() -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    choice = {"index": 0, "message": {"content": None}, "finish_reason": "length"}
    found = facts([{"choices": [choice], "usage": usage}])
    assert found.tokens == {"prompt": 3, "completion": 9, "reasoning": 5, "cached": 2}
    assert (found.finish, found.empty) == (["length"], 1)


@pytest.mark.parametrize(
    ("choice", "request_"),
    [
        ({"text": "4"}, {}),
        ({"text": "", "logprobs": {"tokens": ["a"]}}, {"max_tokens": 1, "logprobs": 1}),
        ({"message": {"tool_calls": [{}]}}, {"tools": [{}]}),
    ],
)
def test_an_answer_with_what_was_asked_for_is_not_empty(
    choice: dict[str, Any], request_: dict[str, Any]
) -> None:
    body = json.dumps(request_).encode()
    assert facts([{"choices": [choice]}], body).empty == 0
    assert facts([{"choices": [choice]}]).empty == (choice != {"text": "4"})


def test_reasoning_alone_is_empty_and_no_finish_reason_is_unknown() -> None:
    deltas = [{"index": 0, "delta": {"content": text}} for text in ("<thi", "nk>2 + 2", "")]
    found = facts([{"choices": [delta]} for delta in deltas])
    assert (found.empty, found.finish) == (1, ["unknown"])


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "4", "finish_reason": "abort"},
        {"text": "4", "finish_reason": "insufficient_system_resource"},
        {"text": "4", "finish_reason": "error"},
        {"text": "4", "finish_reason": "stop", "error": {"message": "the provider failed"}},
    ],
)
def test_a_text_during_which_the_endpoint_failed_is_an_error(choice: dict[str, Any]) -> None:
    assert judge(200, JSON, json.dumps({"choices": [choice]}).encode())[0] == ERROR


def test_the_pieces_of_a_stream_are_one_answer() -> None:
    deltas = [{"index": 0, "delta": {"content": text}} for text in ("", "4", "")]
    deltas[2]["finish_reason"] = "stop"
    parts = [{"choices": [delta]} for delta in deltas]
    found = facts([*parts, {"choices": [], "usage": {"prompt_tokens": 1}}])
    assert (found.finish, found.empty, found.tokens) == (["stop"], 0, {"prompt": 1})


def test_white_space_is_no_text() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in (" ", "\n")]
    assert facts(chunks).empty == 1
    assert facts([*chunks, {"choices": [{"index": 0, "delta": {"content": "a"}}]}]).empty == 0
