"""The log and the journal of an attempt."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Event, Journal, read
from snakeval.jobs.attempt_log import AttemptLog, attempt_log


def opened(directory: Path) -> tuple[EvaluationDirectory, Journal]:
    place = EvaluationDirectory(directory / "m" / "b")
    place.attempt_log(1).parent.mkdir(parents=True)
    place.private.mkdir(parents=True)
    return place, Journal(place.events, 1)


def test_a_report_after_the_end_of_an_attempt_is_lost(tmp_path: Path) -> None:
    place, journal = opened(tmp_path)
    with attempt_log(place, "m/b", journal) as log:
        log.tell(Event("begun", detail="first"))
    before = place.log.read_text()
    assert before.endswith("snakeval: first\n")
    log.tell(Event("lost", detail="late"))
    log.say("late")
    assert place.log.read_text() == before
    assert [event.detail for event in read(place.events)] == ["first"]


def test_reports_of_several_threads_are_whole_lines(tmp_path: Path) -> None:
    place, journal = opened(tmp_path)

    def report(log: AttemptLog, name: str) -> None:
        for number in range(200):
            log.say(f"{name} {number}")

    with attempt_log(place, "m/b", journal) as log:
        threads = [Thread(target=report, args=(log, name)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = place.log.read_text().splitlines()[1:]
    assert sorted(lines) == sorted(f"snakeval: {name} {n}" for name in "abc" for n in range(200))
