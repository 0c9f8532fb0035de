"""Looks at the curves of a run: takes the decisions that are due, and delivers alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snakeval.config.alert import Alert
from snakeval.config.config import Config
from snakeval.evaluation.record import now
from snakeval.ledger.locked import locked
from snakeval.results import comparison
from snakeval.results.alarms import decide, deliver, words
from snakeval.results.alarms.decide import Spot
from snakeval.results.alarms.deliver import DeliveryError, Pauses
from snakeval.results.curves import load
from snakeval.results.curves.grouping import figures
from snakeval.results.curves.points import FAILED, Curve, Figure, Source
from snakeval.results.statistics import drops
from snakeval.run import alarms
from snakeval.run.alarms import DROP, FAILURE, NO_CHECKPOINT, REACHED, UNSEEN, Decision, Remembered
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

#: How an alarm is sent: the target's name, the alert and the message.
Send = Callable[[str, Alert, Mapping[str, Any]], None]


def send(target: str, alert: Alert, alarm: Mapping[str, Any]) -> None:
    """Send an alarm to one target of an alert.

    Raises:
        DeliveryError: it did not arrive.
    """
    if target == "command" and alert.command:
        deliver.by_command(alert.command, alarm)
    elif target == "webhook" and alert.webhook:
        deliver.by_webhook(alert.webhook, alarm)


@dataclass(frozen=True, slots=True)
class Alarms:
    """The alarms of a run.

    Attributes:
        config: its benchmarks have the alerts.
        say: prints a line.
        pauses: of the targets that do not work.
    """

    run: RunDirectory
    config: Config
    say: Callable[[str], None]
    send: Send = send
    pauses: Pauses = field(default_factory=Pauses)

    @property
    def is_wanted(self) -> bool:
        """Whether a benchmark has an alert."""
        return any(benchmark.alert for benchmark in self.config.benchmarks.values())

    def alert(self, benchmark: str) -> Alert | None:
        """Return the alert of a benchmark or of one of its repeats."""
        found = self.config.benchmarks.get(self.config.base(benchmark))
        return found.alert if found else None

    def silences(self) -> dict[tuple[object, ...], tuple[str, Alert]]:
        """Return a benchmark with its alert for each target that waits for new checkpoints.

        Of several alerts with one target, the most impatient one counts.
        """
        found: dict[tuple[object, ...], tuple[str, Alert]] = {}
        for name, benchmark in self.config.benchmarks.items():
            if (alert := benchmark.alert) and alert.no_checkpoint:
                target = (alert.command, alert.webhook)
                before = found.get(target)
                if not before or alert.no_checkpoint < (before[1].no_checkpoint or 0.0):
                    found[target] = name, alert
        return found

    # --- decisions --------------------------------------------------------------------------

    def decide(self, is_busy: Callable[[str], bool] = lambda model: False) -> list[Decision]:
        """Take the decisions that the results make possible; return those that alarm.

        A failure of a model that *is_busy* may still pass.

        Raises:
            ConfigError, OSError: the run cannot be read, or the decisions not be written.
        """
        found = load.source(
            self.run, covers=lambda model, benchmark: self.alert(benchmark) is not None
        )
        new = alarms.decide(self.run.alarms, lambda known: self._decisions(found, known, is_busy))
        return [each for each in new if each.alarm]

    def decide_silence(self, benchmark: str, series: str, last: str, seconds: float) -> None:
        """Note that a series has no new checkpoint after *last*, once.

        Raises:
            OSError: it cannot be written.
        """
        alert = self.alert(benchmark)
        assert alert is not None
        message = words.of_silence(self.run.id, series, last, seconds)
        found = self._decision((NO_CHECKPOINT, series, benchmark, "", last, ""), alert, message)
        alarms.decide(
            self.run.alarms, lambda known: [] if found.key in known.decisions else [found]
        )

    def _decision(
        self, key: tuple[str, str, str, str, str, str], alert: Alert, message: Mapping[str, Any]
    ) -> Decision:
        alarm = {**message, "id": Decision(*key).id, "at": now()} if message else {}
        return Decision(*key, at=now(), to=alert.targets if message else (), alarm=alarm)

    def _decisions(
        self, source: Source, known: Remembered, is_busy: Callable[[str], bool]
    ) -> Iterator[Decision]:
        prints: dict[str, dict[str, str]] = {}
        for row in source.rows:
            prints.setdefault(row["benchmark"], {})[row["model"]] = row.get("fingerprint") or ""
        for figure in figures([source]):
            alert = self.alert(figure.benchmark)
            if alert is None or not figure.metric:
                continue
            for curve in figure.curves:
                found = decide.spots(curve, prints[figure.benchmark], source.places)
                yield from self._drops(figure, curve, alert, found, known)
                yield from self._reached(figure, curve, alert, found, known)
        yield from self._failures(source, known, is_busy)

    def _drops(
        self, figure: Figure, curve: Curve, alert: Alert, found: Sequence[Spot], known: Remembered
    ) -> Iterator[Decision]:
        if not alert.drop:
            return
        curve_key = (DROP, curve.name, figure.benchmark, _metric(figure))
        blind = (UNSEEN, *curve_key[1:], "", "")
        if found and blind not in known.decisions and all(s.point.low is None for s in found):
            yield self._decision(
                blind, alert, words.of_unseen(self.run.id, figure, curve, found[0])
            )
        decided = {(key[4], key[5]) for key in known.decisions if key[:4] == curve_key}
        number = known.count(*curve_key)

        def measure(spot: Spot) -> drops.Point:
            return _measured(self.run, figure, spot)

        for spot, earlier in decide.undecided(found, decided):
            number += 1
            drop = decide.dropped(spot, earlier, number, curve.higher_is_better, measure)
            message: dict[str, Any] = {}
            if drop is not None and decide.is_alarm(drop, alert.drop):
                message = words.of_drop(self.run.id, figure, curve, spot, drop)
            yield self._decision((*curve_key, *spot.key), alert, message)

    def _reached(
        self, figure: Figure, curve: Curve, alert: Alert, found: Sequence[Spot], known: Remembered
    ) -> Iterator[Decision]:
        if alert.reached is None:
            return
        # One alarm for each curve and threshold: later checkpoints reach it again and again.
        key = (f"{REACHED} {alert.reached}", curve.name, figure.benchmark, _metric(figure))
        if known.count(*key):
            return
        spot = decide.reached(found, alert.reached, curve.higher_is_better)
        if spot is not None:
            message = words.of_reached(self.run.id, figure, curve, spot, alert.reached)
            yield self._decision((*key, *spot.key), alert, message)

    def _failures(
        self, source: Source, known: Remembered, is_busy: Callable[[str], bool]
    ) -> Iterator[Decision]:
        seen = {*known.decisions}
        for row in source.rows:
            alert, place = self.alert(row["benchmark"]), source.places.get(row["model"])
            if row["status"] != FAILED or alert is None or not alert.failures:
                continue
            if is_busy(row["model"]) or (place and (place.gone or place.same_as)):
                continue
            curve, step = (place.curve, place.step) if place else (row["model"], "")
            key = (FAILURE, curve, row["benchmark"], "", step, row.get("fingerprint") or "")
            if key not in seen:
                seen.add(key)
                yield self._decision(key, alert, words.of_failure(self.run.id, row, place))

    # --- deliveries -------------------------------------------------------------------------

    def deliver(self) -> None:
        """Send the alarms that wait. One that does not arrive waits for the next look.

        Raises:
            OSError: another process delivers for too long, or a delivery cannot be noted.
        """
        if not alarms.read(self.run.alarms).waiting:
            return
        with locked(self.run.alarms.with_name("alarms.lock")):
            for decision, target in alarms.read(self.run.alarms).waiting:
                alert = self.alert(decision.benchmark)
                if alert is not None and target in alert.targets:
                    self._deliver(decision, target, alert)

    def _deliver(self, decision: Decision, target: str, alert: Alert) -> None:
        """Send an alarm to a target, unless it failed just now. Report a problem and its end."""
        name = str(alert.command) if target == "command" else f"${alert.webhook}"
        if self.pauses.waits((target, name)):
            return
        try:
            self.send(target, alert, decision.alarm)
        except DeliveryError as error:
            if self.pauses.failed((target, name)):
                self.say(f"alarm not delivered: {error}. snakeval tries again, less and less often")
        else:
            alarms.note_delivery(self.run.alarms, decision, target, now())
            if self.pauses.worked((target, name)):
                self.say(f"alarms are delivered again by the {target}")


def _metric(figure: Figure) -> str:
    return " ".join(filter(None, (figure.task, figure.metric, figure.filter)))


def _measured(run: RunDirectory, figure: Figure, spot: Spot) -> drops.Point:
    """Return a spot with its samples, if they are those of the figure's metric."""
    item = Planned(spot.point.model, figure.benchmark, spot.fingerprint)
    found = comparison.measure(run, item)
    if found is None or found.key != (figure.metric, figure.filter):
        return spot.as_drop()
    return drops.Point(spot.point.model, spot.value, found.interval, found.scores, found.scale)
