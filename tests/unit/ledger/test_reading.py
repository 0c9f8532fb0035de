"""Journals are read and pruned without a gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import reading
from snakeval.ledger.journal import Journal
from snakeval.ledger.records import Answer
from snakeval.ledger.slots import key_of


def answer(number: int, **meta: Any) -> Answer:
    text = "" if meta.get("empty") else f"answer {number}"
    body = {"choices": [{"message": {"content": text}}]}
    fixed = {"status": 200, "reason": "OK", "headers": [["Content-Type", "application/json"]]}
    about = {"method": "POST", "path": "/v1/chat/completions", "time": float(number), "whole": 0.1}
    return Answer({**fixed, **about, **meta}, b'{"n": %d}' % number, json.dumps(body).encode())


def key(number: int) -> bytes:
    return key_of("POST", "/v1/chat/completions", b'{"n": %d}' % number)


def kept(directory: Path, identity: str, *found: tuple[int, int, dict[str, Any]]) -> None:
    """Keep answers in one journal: number of the question, occurrence, meta."""

    async def write() -> None:
        journal = Journal(directory, identity)
        for number, occurrence, meta in found:
            await journal.append(key(number), occurrence, answer(number, **meta))
        journal.close()

    asyncio.run(write())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    kept(tmp_path / "m", "a", (1, 0, {}), (1, 1, {"empty": 1}), (2, 0, {"finish": ["stop"]}))
    kept(tmp_path / "m", "b", (3, 0, {"finish": ["content_filter"]}))
    kept(tmp_path / "judge", "j", (1, 0, {}))
    return tmp_path


def test_all_answers_are_listed_whatever_their_identity(place: Path) -> None:
    found = list(reading.stored(place))
    assert [(one.upstream, one.identity, one.number) for one in found] == [
        ("judge", "j", 1), ("m", "a", 1), ("m", "a", 2), ("m", "a", 1), ("m", "b", 1),
    ]  # fmt: skip
    second = found[2]
    assert second.id == f"{key(1).hex()[:12]}-2"
    assert second.is_empty
    assert second.request() == {"n": 1}
    assert second.response()["choices"][0]["message"]["content"] == ""
    assert found[1].response()["choices"][0]["message"]["content"] == "answer 1"
    assert [one.is_healthy for one in found] == [True, True, False, True, False]


def test_unhealthy_answers_are_dropped_and_the_others_stay(place: Path) -> None:
    assert reading.drop(place, reading.UNHEALTHY) == 2
    assert all(one.is_healthy for one in reading.stored(place))
    assert len(list(reading.stored(place))) == 3
    assert reading.drop(place, reading.UNHEALTHY) == 0


def test_the_last_delivered_answers_are_dropped(place: Path) -> None:
    last = {"upstreams": {"m": {"last": [[key(1).hex(), 0]]}}}
    (place / "summary.json").write_text(json.dumps(last))
    assert reading.drop(place, reading.LAST) == 1
    left = [(one.upstream, one.key, one.number) for one in reading.stored(place)]
    assert ("m", key(1), 1) not in left
    assert ("judge", key(1), 1) in left
    assert ("m", key(1), 2) in left


def test_all_answers_are_dropped(place: Path) -> None:
    assert reading.drop(place, reading.ALL) == 5
    assert list(reading.stored(place)) == []
    assert Journal(place / "m", "a").find(key(1), 0) is None


@pytest.mark.parametrize("text", ["", "[]", '{"upstreams": {"m": {"last": [["x", 0]]}}}'])
def test_a_damaged_summary_names_no_last_answer(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert reading.last_delivered(tmp_path) == {}
