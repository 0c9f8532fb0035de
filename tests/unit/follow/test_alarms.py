"""A follower's alarms: silences by its clock, and a loop that never waits for a delivery."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.alert import Alert
from snakeval.config.config import Config
from snakeval.errors import ConfigError
from snakeval.follow.alarms import LOOK_SECONDS, FollowedAlarms, Silence
from snakeval.follow.schedule import Step
from snakeval.results.alarms.look import Alarms
from snakeval.run.checkpoints import Seen
from support.configs import MODEL, config
from support.limits import HUNG
from support.sampled import BENCHMARK, Sampled

GOOD, BAD = [1] * 90 + [0] * 10, [1] * 20 + [0] * 80


@dataclass
class Clock:
    now: float = 10_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bed:
    """A follower's alarms of a run whose targets keep what they get."""

    run: Sampled
    followed: FollowedAlarms
    clock: Clock
    got: list[Mapping[str, Any]]
    lines: list[str]

    def once(self, busy: str = "") -> None:
        self.followed.once({busy}, self.followed._silences, self.clock())


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Sampled(tmp_path, {name: {"b": None} for name in ("r@1", "r@2")})
    run.complete("r@1/b", GOOD)
    got: list[Mapping[str, Any]] = []
    lines: list[str] = []

    def send(target: str, alert: Alert, alarm: Mapping[str, Any]) -> None:
        got.append(alarm)

    clock = Clock()
    alarms = Alarms(run.directory, settings(tmp_path), lines.append, send)
    followed = FollowedAlarms(alarms, ["r", "s"], lines.append, clock)
    return Bed(run, followed, clock, got, lines)


def settings(place: Path) -> Config:
    alert = {"drop": True, "no_checkpoint": 10, "webhook": "HOOK"}
    return config(
        place, {"models": {"m": MODEL}, "benchmarks": {"b": {**BENCHMARK, "alert": alert}}}
    )


def test_each_series_is_silent_from_its_newest_checkpoint(bed: Bed) -> None:
    bed.followed.saw([Step("r@1")])
    bed.clock.now += 300
    bed.followed.saw([Step("r@2"), Step("r@1")])
    bed.clock.now += 300
    bed.once()
    assert [alarm["series"] for alarm in bed.got] == ["s"]
    bed.clock.now += 299
    bed.once()
    assert len(bed.got) == 1
    bed.clock.now += 1
    bed.once()
    bed.once()
    assert [(alarm["series"], alarm["newest"]) for alarm in bed.got[1:]] == [("r", "r@2")]
    assert bed.lines[-1].startswith("alarm: r has had no new checkpoint for 10 min")


def test_new_content_of_a_step_ends_a_silence(bed: Bed) -> None:
    bed.followed.saw([Step("r@1", "a")])
    bed.clock.now += 100
    bed.followed.saw([Step("r@1", "b")])
    bed.followed.saw([Step("r@1", "b")])
    assert bed.followed._silences["r"] == Silence(bed.clock.now, "r@1")


def test_a_new_follower_knows_since_when_it_is_silent(bed: Bed) -> None:
    seen = {"r@1": Seen("/r/1", {"step": "1"}, seen=7.0), "s@1": Seen("/s/1", {"step": "1"})}
    bed.run.directory.update_series(lambda before: seen)
    bed.followed.saw([Step("r@1"), Step("s@2")])
    assert bed.followed._silences == {
        "r": Silence(7.0, "r@1"), "s": Silence(bed.clock.now, "s@2"),
    }  # fmt: skip


def test_an_alarm_of_a_head_is_printed_once_and_an_old_one_never(bed: Bed) -> None:
    bed.run.complete("r@2/b", BAD)
    bed.followed.alarms.decide()
    bed.followed.saw([])
    bed.once()
    assert (len(bed.got), bed.lines) == (1, [])
    bed.followed._said.clear()
    bed.once()
    bed.once()
    assert [line[:23] for line in bed.lines] == ["alarm: r@2 dropped on b"]


def test_a_look_is_due_after_the_end_of_a_head_or_after_a_while(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[set[str]] = []
    monkeypatch.setattr(bed.followed, "once", lambda busy, *rest: looks.append({*busy}))
    for models, seconds in (("ab", 0), ("ab", 1), ("b", 1), ("b", 1), ("b", LOOK_SECONDS)):
        bed.clock.now += seconds
        bed.followed.look([*models])
        bed.followed.close()
    assert looks == [{"a", "b"}, {"b"}, {"b"}]


def test_the_loop_does_not_wait_for_a_delivery(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, looks = threading.Event(), list[float]()

    def once(busy: object, silences: object, now: float) -> None:
        looks.append(now)
        assert goes_on.wait(HUNG)

    monkeypatch.setattr(bed.followed, "once", once)
    bed.followed.look([])
    bed.clock.now += 10 * LOOK_SECONDS
    bed.followed.look([])  # the first one still works
    goes_on.set()
    bed.followed.close()
    assert looks == [10_000.0]
    bed.followed.look([])
    bed.followed.close()
    assert len(looks) == 2


def test_a_problem_is_printed_once_and_ends_nothing(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[Exception | None] = [OSError("disk full")] * 2 + [None, ConfigError("no plan")]

    def once(*unused: object) -> None:
        if problem := problems.pop(0):
            raise problem

    monkeypatch.setattr(bed.followed, "once", once)
    for _ in range(4):
        bed.clock.now += LOOK_SECONDS
        bed.followed.look([])
        bed.followed.close()
    assert bed.lines == [
        "alarms failed: disk full. The next look tries again",
        "alarms failed: no plan. The next look tries again",
    ]


def test_after_the_end_of_a_training_no_checkpoint_is_missed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.followed.ended = lambda: True
    bed.followed.saw([Step("r@1")])
    bed.clock.now += 3600
    bed.followed.look([])
    bed.followed.close()
    assert bed.got == []
