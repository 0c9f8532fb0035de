"""The memory of a run's alarms: each decision once, and each delivery of an alarm.

A file of lines, to which processes append under its lock. A line that a kill or a full disk cut is
no line: what it had to remember is decided or delivered again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snakeval.evaluation.plain import build_known
from snakeval.files import DAMAGE, json_object, read_bytes
from snakeval.ledger.locked import locked

#: The kinds of alarms.
DROP, REACHED, NO_CHECKPOINT, FAILURE = "drop", "reached", "no_checkpoint", "failure"
#: No drop of a curve can be seen, since its scores have neither samples nor intervals.
UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision, perhaps that there is no alarm.

    Attributes:
        kind, curve, benchmark, metric, step, fingerprint: together they are decided once.
        at: the time of the decision.
        to: how the alarm is delivered: ``command``, ``webhook``.
        alarm: the message, with ``text``; empty without an alarm.
    """

    kind: str
    curve: str
    benchmark: str
    metric: str
    step: str
    fingerprint: str = ""
    at: str = ""
    to: Sequence[str] = ()
    alarm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """Its identity."""
        return self.kind, self.curve, self.benchmark, self.metric, self.step, self.fingerprint

    @property
    def id(self) -> str:
        """A short form of its identity, the same at each delivery."""
        return hashlib.sha256(json.dumps(self.key).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The content of the file: decisions in their order, and deliveries as (id, target)."""

    decisions: Mapping[tuple[str, ...], Decision] = field(default_factory=dict)
    delivered: frozenset[tuple[str, str]] = frozenset()

    @property
    def alarms(self) -> list[Decision]:
        """The alarms, the newest last."""
        return [each for each in self.decisions.values() if each.alarm]

    @property
    def waiting(self) -> list[tuple[Decision, str]]:
        """Each alarm with each target that has not got it."""
        return [(d, to) for d in self.alarms for to in d.to if (d.id, to) not in self.delivered]

    def count(self, kind: str, curve: str, benchmark: str, metric: str) -> int:
        """Return how many decisions of a kind a curve has had."""
        wanted = (kind, curve, benchmark, metric)
        return sum(key[:4] == wanted for key in self.decisions)


def read(path: Path) -> Remembered:
    """Return what is remembered; nothing if the file cannot be read.

    Raises:
        OSError: the file exists and cannot be read.
    """
    decisions: dict[tuple[str, ...], Decision] = {}
    delivered: set[tuple[str, str]] = set()
    for line in (read_bytes(path) or b"").split(b"\n"):
        with suppress(*DAMAGE):
            data = json_object(line)
            if "delivered" in data:
                delivered.add((str(data["delivered"]), str(data["to"])))
            else:
                found = build_known(Decision, data)
                decisions.setdefault(found.key, found)
    return Remembered(decisions, frozenset(delivered))


def decide(path: Path, choose: Callable[[Remembered], Iterable[Decision]]) -> list[Decision]:
    """Append the decisions that *choose* takes, under the lock; return them.

    Raises:
        OSError: the file cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path) as file:
        new = list(choose(read(path)))
        _append(file, [{**asdict(each), "to": [*each.to]} for each in new])
    return new


def note_delivery(path: Path, decision: Decision, to: str, at: str) -> None:
    """Note that a target got an alarm.

    Raises:
        OSError: the file cannot be written.
    """
    with locked(path) as file:
        _append(file, [{"delivered": decision.id, "to": to, "at": at}])


def recent(path: Path, count: int = 3) -> list[str]:
    """Return a line for each of the last alarms, the newest first; none if they are unreadable."""
    try:
        known = read(path)
    except OSError:
        return []
    waiting = {decision.id for decision, _ in known.waiting}
    return [
        f"Alarm {each.at}: {each.alarm.get('text', '')}"
        + (" (not delivered yet)" if each.id in waiting else "")
        for each in reversed(known.alarms[-count:])
    ]


def _append(file: int, lines: Sequence[Mapping[str, Any]]) -> None:
    if not lines:
        return
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        text = f"\n{text}"  # after a line that was cut
    left = text.encode()
    while left:
        left = left[os.write(file, left) :]
    os.fsync(file)
