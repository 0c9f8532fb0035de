"""How long harnesses and servers ran, whoever was killed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snakeval.evaluation import events, timings
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.evaluation.timings import Use


@pytest.fixture
def place(tmp_path: Path) -> EvaluationDirectory:
    place = EvaluationDirectory(tmp_path / "m" / "b")
    place.private.mkdir(parents=True)
    return place


@pytest.fixture
def journal(place: EvaluationDirectory) -> Journal:
    return Journal(place.events)


def test_a_use_is_as_long_as_its_context_whatever_ends_it(
    place: EvaluationDirectory, journal: Journal
) -> None:
    with pytest.raises(RuntimeError), timings.use(journal, place.log, gpus=2):
        raise RuntimeError
    timings.add(journal, 60)
    first, second = timings.read(place) or ()
    assert first.gpus == 2
    assert 0 <= first.seconds < 60
    assert second == Use(60)


def test_the_end_of_a_use_has_the_exit_code(place: EvaluationDirectory, journal: Journal) -> None:
    with timings.use(journal, place.log) as using:
        using.exit_code = 0
    begin, end = events.read(journal.file)
    assert (begin.phase, begin.log, begin.exit_code) == ("running", "harness.log", None)
    assert (end.phase, end.use, end.exit_code) == ("ended", begin.use, 0)


def test_a_killed_attempt_ends_with_its_log_even_after_the_log_was_moved(
    place: EvaluationDirectory, journal: Journal
) -> None:
    begun = datetime.fromtimestamp(1000, UTC).isoformat()
    journal.add(Event("running", begun, use="a", gpus=1, log="attempt-1.log"))
    moved = place.attempts / "1/logs/attempt-1.log"
    moved.parent.mkdir(parents=True)
    moved.touch()
    os.utime(moved, (1090, 1090))
    assert timings.read(place) == [Use(90.0, 1)]
    moved.unlink()
    assert timings.read(place) is None


def test_uses_before_there_were_events_are_added(
    place: EvaluationDirectory, journal: Journal
) -> None:
    old = place.timings
    lines = [{"use": "a", "started": 1000.0, "gpus": 1, "log": "l"}, {"use": "a", "seconds": 5}]
    old.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    timings.add(journal, 60)
    assert timings.read(place) == [Use(5, 1), Use(60)]
    old.write_text("{")
    assert timings.read(place) is None


@pytest.mark.parametrize("wrong", [[5], "5", None, -1, 1e308, float("nan"), 2**70])
@pytest.mark.parametrize("key", ["seconds", "gpus"])
def test_a_use_with_no_plausible_number_is_not_known(
    place: EvaluationDirectory, key: str, wrong: object
) -> None:
    line = {"use": "a", "seconds": 5, "gpus": 1, key: wrong}
    place.timings.write_text(json.dumps(line))
    assert timings.read(place) is None


@pytest.mark.parametrize("log", ["/../..", "/etc/passwd", "../log", "", 5, None, ["log"], "a\0b"])
def test_a_use_whose_log_is_no_file_of_the_directory_is_not_known(
    place: EvaluationDirectory, log: object
) -> None:
    place.timings.write_text(json.dumps({"use": "a", "started": 1000.0, "log": log}))
    assert timings.read(place) is None


def test_what_was_never_noted_is_not_known(place: EvaluationDirectory, journal: Journal) -> None:
    assert timings.read(place) is None
    journal.add(Event("begun"))
    assert timings.read(place) is None


def test_where_it_cannot_be_noted_nothing_fails(tmp_path: Path) -> None:
    with timings.use(Journal(tmp_path / "absent" / "events.jsonl"), tmp_path / "log"):
        pass
    assert not (tmp_path / "absent").exists()
