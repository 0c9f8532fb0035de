"""The memory of alarms: each decision once, and lines that a kill cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.run import alarms
from snakeval.run.alarms import Decision

FLAT = Decision("drop", "run7", "b", "t acc", "200", "f1")
ALARM = replace(FLAT, step="300", at="2026", to=("webhook", "command"), alarm={"text": "down"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alarms.jsonl"


def test_decisions_and_deliveries_are_read_again(file: Path) -> None:
    assert alarms.read(file).waiting == []
    alarms.decide(file, lambda known: [FLAT, ALARM])
    known = alarms.read(file)
    assert known.count("drop", "run7", "b", "t acc") == 2
    assert known.count("drop", "run6", "b", "t acc") == 0
    assert [(each.step, to) for each, to in known.waiting] == [
        ("300", "webhook"), ("300", "command"),
    ]  # fmt: skip
    alarms.note_delivery(file, ALARM, "webhook", "2026")
    assert [to for _, to in alarms.read(file).waiting] == ["command"]


def test_a_process_sees_the_decisions_of_those_before(file: Path) -> None:
    alarms.decide(file, lambda known: [FLAT])
    seen = alarms.decide(file, lambda known: [ALARM] if FLAT.key in known.decisions else [])
    assert seen == [ALARM]


def test_a_line_that_a_kill_cut_is_no_line_and_spoils_no_other(file: Path) -> None:
    alarms.decide(file, lambda known: [FLAT, ALARM])
    file.write_bytes(file.read_bytes()[:-20])
    assert [*alarms.read(file).decisions] == [FLAT.key]
    alarms.decide(file, lambda known: [ALARM])
    assert [*alarms.read(file).decisions] == [FLAT.key, ALARM.key]


def test_a_decision_counts_once_and_its_id_is_that_of_its_key(file: Path) -> None:
    alarms.decide(file, lambda known: [ALARM])
    alarms.decide(file, lambda known: [replace(ALARM, at="2027")])
    assert [each.at for each in alarms.read(file).alarms] == ["2026"]
    assert ALARM.id == replace(ALARM, at="2027", alarm={}).id != FLAT.id


def test_the_last_alarms_are_lines(file: Path) -> None:
    assert alarms.recent(file) == []
    many = [replace(ALARM, step=str(step), at=f"t{step}") for step in range(5)]
    alarms.decide(file, lambda known: many)
    for target in ALARM.to:
        alarms.note_delivery(file, many[4], target, "2026")
    assert alarms.recent(file, 2) == ["Alarm t4: down", "Alarm t3: down (not delivered yet)"]
