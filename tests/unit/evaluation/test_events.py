"""The events of a directory: appended by several writers, read whatever happened to the file."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snakeval.evaluation import events
from snakeval.evaluation.events import Event, Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "events.jsonl")


def test_an_event_comes_back_with_all_its_fields(journal: Journal) -> None:
    journal.attempt = 3
    given = Event(
        "ended", detail="é\n\u2028x", runtime="docker", container="c", model="m", url="http://h",
        log="l", use="u", gpus=2, seconds=1.5, exit_code=0, host="h", head=7,
    )  # fmt: skip
    journal.add(given)
    (found,) = events.read(journal.file)
    assert found.attempt == 3
    assert abs(found.moment - datetime.now(UTC).timestamp()) < 60
    blank = {"time": "", "attempt": 0}
    assert Event(**{**_fields(found), **blank}) == Event(**{**_fields(given), **blank})


def _fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in Event.__slots__}


def test_a_line_has_no_empty_fields(journal: Journal) -> None:
    journal.add(Event("begun"))
    assert list(json.loads(journal.file.read_text())) == ["time", "phase"]


def test_fields_and_phases_of_a_later_version_are_kept(journal: Journal) -> None:
    journal.file.write_text(
        '{"time": "2030-01-01T00:00:00.000+00:00", "phase": "tuned", "gpus": "all", "of": [1]}\n'
    )
    (found,) = events.read(journal.file)
    assert (found.phase, found.gpus) == ("tuned", 0)
    assert found.more == {"gpus": "all", "of": [1]}


@pytest.mark.parametrize(
    "torn", ['{"time": "2030-01-01T00', "\0\0\0", "[]\n", '{"time": 1}\n', "\n"]
)
def test_what_a_crash_left_of_a_line_costs_no_other_event(journal: Journal, torn: str) -> None:
    journal.add(Event("begun"))
    with journal.file.open("a") as file:
        file.write(torn)
    assert [event.phase for event in events.read(journal.file)] == ["begun"]
    journal.add(Event("failed", detail='says {"time": 1}'))
    assert [event.phase for event in events.read(journal.file)] == ["begun", "failed"]
    assert events.read(journal.file)[1].detail == 'says {"time": 1}'


def test_half_a_surrogate_of_a_harness_can_be_printed(journal: Journal) -> None:
    journal.add(Event("failed", detail="\udcff"))
    assert events.read(journal.file)[0].detail == "?"


def test_writers_at_the_same_time_lose_no_event(journal: Journal) -> None:
    def write(attempt: int) -> None:
        own = Journal(journal.file, attempt)
        for _ in range(100):
            own.add(Event("deploying", detail="x" * 200))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = events.read(journal.file)
    assert [sum(e.attempt == n for e in found) for n in range(1, 5)] == [100] * 4


def test_only_the_end_of_a_long_file_is_read(journal: Journal) -> None:
    journal.file.write_text("x" * 5_000_000)
    journal.add(Event("begun"))
    assert [event.phase for event in events.read(journal.file)] == ["begun"]


def test_no_file_is_no_event_and_a_full_disk_no_failure(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "absent" / "events.jsonl")
    journal.add(Event("begun"))
    assert events.read(journal.file) == []


def test_what_a_job_does_is_its_last_detail_until_it_ends() -> None:
    happened = [Event("begun", detail="runtime: docker"), Event("running")]
    assert events.doing(happened) == "runtime: docker"
    assert events.doing([*happened, Event("failed", detail="x")]) == ""
    assert events.doing([]) == ""


def test_the_last_of_an_attempt_or_of_some_phases() -> None:
    found = [Event("begun", attempt=1), Event("failed", attempt=1), Event("begun", attempt=2)]
    assert events.last(found) is found[2]
    assert events.last(found, 1) is found[1]
    assert events.last(found, 0, "failed") is found[1]
    assert events.last(found, 2, "failed") is None


def test_a_damaged_time_is_no_moment() -> None:
    assert Event("begun", "yesterday").moment == 0
