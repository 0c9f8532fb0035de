"""Tests the ledger's file, which remains after its server."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from snakeval.demo.ledger import Ledger, digest, read_ledger


def test_lines_record_server_model_prompt_and_number(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.load(["careful", "sloppy"])
    ledger.answer(7, "careful", ["a", "b\u2028"])
    written = (tmp_path / "ledger").read_text(encoding="utf-8")
    first, second = (
        hashlib.sha256(text.encode()).hexdigest() for text in ("careful\na", "careful\nb\u2028")
    )
    assert [json.loads(line) for line in written.splitlines()] == [
        {"server": os.getpid(), "event": "load", "models": ["careful", "sloppy"]},
        {"server": os.getpid(), "model": "careful", "prompt": first, "number": 7},
        {"server": os.getpid(), "model": "careful", "prompt": second, "number": 7},
    ]


def test_a_request_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "ledger")
    writes = []
    monkeypatch.setattr(os, "write", lambda _, data: writes.append(data))
    ledger.answer(1, "careful", ["a", "b", "a"])
    assert [data.count(b"\n") for data in writes] == [3]


def test_several_ledgers_add_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    one, other = Ledger(path), Ledger(path)
    for ledger in (one, other, one):
        ledger.load(["careful"])
        ledger.answer(1, "careful", ["a"])
    other.answer(2, "sloppy", ["a", "b", "a"])
    loads, answers = read_ledger(path)
    assert loads == {"careful": 3}
    assert answers == {
        ("careful", digest("careful", "a")): 3,
        ("sloppy", digest("sloppy", "a")): 2,
        ("sloppy", digest("sloppy", "b")): 1,
    }


def test_an_answer_that_cannot_be_written_does_not_count(tmp_path: Path) -> None:
    ledger = Ledger(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        ledger.answer(1, "careful", ["a"])
    assert ledger.snapshot()["answered"] == 0


def test_a_closed_ledger_writes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.close()
    ledger.close()
    ledger.answer(1, "careful", ["a"])
    assert (tmp_path / "ledger").read_bytes() == b""


def test_an_absent_file_counts_nothing(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "absent") == ({}, {})


def test_an_incomplete_last_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path).load(["careful"])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"server": 1, "eve')
    assert read_ledger(path).loads == {"careful": 1}
