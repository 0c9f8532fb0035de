"""Alarms of a run's directory: decided once, delivered once, and not lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.alert import Alert
from snakeval.config.config import Config
from snakeval.results.alarms.deliver import DeliveryError, Pauses
from snakeval.results.alarms.look import Alarms
from snakeval.run import alarms
from support.configs import VALID, config
from support.made import begin
from support.sampled import BENCHMARK, Sampled

GOOD, BAD = [1] * 90 + [0] * 10, [1] * 20 + [0] * 80


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@dataclass
class Sent:
    """Targets that get alarms, or do not answer."""

    got: list[tuple[str, Any]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    asked: int = 0

    def __call__(self, target: str, alert: Alert, alarm: Mapping[str, Any]) -> None:
        self.asked += 1
        if target in self.broken:
            raise DeliveryError("$HOOK does not answer")
        self.got.append((target, alarm))


@dataclass
class Bed:
    """A run with alarms."""

    run: Sampled
    alarms: Alarms
    sent: Sent
    lines: list[str]
    now: float = 0.0

    @property
    def kinds(self) -> list[tuple[Any, ...]]:
        return [(each["kind"], each["model"]) for _, each in self.sent.got]

    def look(self, busy: str = "") -> None:
        self.alarms.decide(lambda model: model == busy)
        self.alarms.deliver()


def bed(place: Path, scores: Mapping[str, Any], **alert: Any) -> Bed:
    run = Sampled(place, {model: {"b": found} for model, found in scores.items()})
    sent, lines = Sent(), list[str]()
    pauses = Pauses(lambda: found.now)
    made = Alarms(run.directory, alerts(place, alert), lines.append, sent, pauses)
    found = Bed(run, made, sent, lines)
    return found


def alerts(place: Path, alert: Mapping[str, Any]) -> Config:
    models = {"base": {"endpoint": {"url": "http://host/v1", "model_id": "m"}}}
    benchmark = {**BENCHMARK, "alert": {"webhook": "HOOK", **alert}}
    return config(place, {"models": models, "benchmarks": {"b": benchmark, "c": BENCHMARK}})


def test_a_drop_is_delivered_once(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": GOOD, "r@2": GOOD, "r@3": BAD, "r@4": None}, drop=True)
    found.look()
    found.look()
    assert found.kinds == [("drop", "r@3")]
    ((target, message),) = found.sent.got
    assert target == "webhook"
    assert (message["value"], message["mean_of_best"], message["paired"]) == (0.2, 0.9, True)
    assert "0.200, and 0.900 is the mean of the best 2 before it" in message["text"]
    assert len(alarms.read(found.run.directory.alarms).decisions) == 2


def test_a_benchmark_with_bare_scores_alarms_once_that_it_shows_no_drop(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": None, "r@2": None, "s@1": None}, drop=True)
    found.look()
    assert found.sent.asked == 0
    for id in ("r@1/b", "r@2/b"):
        found.run.bare(id, 0.5)
        found.look()
        found.look()
    assert found.kinds == [("unseen", "r@1")]
    assert found.sent.got[0][1]["text"].startswith("b cannot alarm for a drop of r: acc has")


def test_checkpoints_that_finish_out_of_order_have_decisions_of_their_own(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": None, "r@2": None, "r@3": BAD}, drop=True)
    found.look()
    assert alarms.read(found.run.directory.alarms).decisions == {}
    found.run.complete("r@1/b", GOOD)
    found.look()
    found.run.complete("r@2/b", BAD)
    found.look()
    assert found.kinds == [("drop", "r@3"), ("drop", "r@2")]
    first, second = (message for _, message in found.sent.got)
    # The second decision of the curve may spend a third of what the first one may.
    assert second["level"] == pytest.approx(first["level"] / 3)


def test_the_next_look_tries_a_failed_delivery_again(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": GOOD, "r@2": BAD, "r@3": BAD}, drop=True, command=["mail"])
    found.sent.broken = {"webhook"}
    found.look()
    assert found.lines == [
        "alarm not delivered: $HOOK does not answer. snakeval tries again, less and less often"
    ]
    assert found.sent.asked == 3  # the second alarm does not wait for a webhook that is gone
    assert [target for target, _ in found.sent.got] == ["command", "command"]
    pauses = list[float]()
    for _ in range(9):
        began = found.now
        while found.sent.asked == 3 + len(pauses):
            found.now += 30
            found.look()
        pauses.append(found.now - began)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert len(found.lines) == 1
    found.sent.broken = set()
    found.now += 3600
    found.look()
    assert [target for target, _ in found.sent.got[2:]] == ["webhook", "webhook"]
    assert found.lines[1:] == ["alarms are delivered again by the webhook"]
    found.look()
    assert found.sent.asked == 3 + 9 + 2


def test_an_alarm_survives_a_kill_between_decision_and_delivery(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": GOOD, "r@2": BAD}, drop=True)
    found.alarms.decide()
    assert found.sent.got == []
    again = Alarms(found.run.directory, found.alarms.config, found.lines.append, found.sent)
    assert again.decide() == []
    again.deliver()
    assert found.kinds == [("drop", "r@2")]


def test_a_threshold_alarms_once_for_each_curve(tmp_path: Path) -> None:
    scores = {"r@1": BAD, "r@2": GOOD, "r@3": GOOD, "s@1": GOOD, "base": GOOD}
    found = bed(tmp_path, scores, reached=0.8)
    found.look()
    found.run.complete("r@1/b", GOOD)
    found.look()
    assert found.kinds == [("reached", "r@2"), ("reached", "s@1")]
    assert len(alarms.read(found.run.directory.alarms).decisions) == 2


def test_a_failure_alarms_once_and_not_while_a_head_tries_again(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": GOOD, "r@2": None, "base": None}, failures=True)
    for id in ("r@2/b", "base/b"):
        directory, evaluation = found.run[id], found.run.evaluations[id]
        begin(directory, evaluation.fingerprint)
        directory.fail("out of memory")
    found.look(busy="r@2")
    assert found.kinds == [("failure", "base")]
    found.look()
    found.look()
    assert found.kinds == [("failure", "base"), ("failure", "r@2")]


def test_a_silence_alarms_once_for_each_newest_checkpoint(tmp_path: Path) -> None:
    found = bed(tmp_path, {"r@1": GOOD}, no_checkpoint=90)
    ((benchmark, alert),) = found.alarms.silences().values()
    assert (benchmark, alert.no_checkpoint) == ("b", 90)
    for last in ("r@1", "r@1", "r@2"):
        found.alarms.decide_silence(benchmark, "r", last, 5400.0)
    found.alarms.deliver()
    assert [message["newest"] for _, message in found.sent.got] == ["r@1", "r@2"]


def test_a_benchmark_without_an_alert_is_not_judged(tmp_path: Path) -> None:
    run = Sampled(tmp_path, {"r@1": {"c": GOOD}, "r@2": {"c": BAD}})
    sent = Sent()
    found = Alarms(run.directory, alerts(tmp_path, {"drop": True}), print, sent)
    assert found.decide() == []
    found.deliver()
    assert sent.asked == 0
    assert not Alarms(run.directory, config(tmp_path, VALID), print).is_wanted
