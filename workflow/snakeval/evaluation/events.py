"""The events of an evaluation or a deployment: what happened when, one JSON object on each line.

Jobs and servers append events to the ``events.jsonl`` of their directory. ``status``, the live
display and the report read them. People read logs; no code does.

The phases of an attempt at an evaluation, in their usual order:

=============== ====================================================================
``waiting``     another job holds the lease, or the model's server waits for GPUs
``begun``       the attempt starts; has ``runtime`` and ``container``
``deploying``   the model's server loads
``serving``     the server answers; has ``model``, ``url``, ``runtime`` and ``log``
``doubted``     a shared server's weights are in doubt, or a cold start has decided
``lost``        the server ended while the harness used it
``preparing``   the runtime pulls or converts the image
``running``     the harness runs; has ``use`` and ``log``
``ended``       the harness ended; has ``use``, ``seconds`` and ``exit_code``
``reading``     the job reads the scores
``published``   the completion record is published
``adopted``     an earlier completion is published instead
``failed``      the attempt failed; ``detail`` is the reason
``interrupted`` a signal or a command stopped the attempt
``refused``     the executor did not take the job; ``detail`` is the reason
=============== ====================================================================

A deployment has the same phases from ``waiting`` to ``serving``; ``running`` and ``ended`` are
about one start of a server, with the ``gpus`` that it holds.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakeval.files import DAMAGE, json_value, without_waiting

#: The phases with which a job ends.
ENDS = frozenset(["published", "adopted", "failed", "interrupted", "refused"])
#: Readers see only the end of a longer file.
_MAX_BYTES = 1 << 20
_START = '{"time"'
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
#: A larger number is damage.
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        phase: see the table above. A reader keeps phases that it does not know.
        time: in UTC, ISO 8601, in milliseconds.
        attempt: the number of the attempt; 0 outside an attempt.
        detail: a sentence for people.
        runtime, container: what runs the harness, and the name of its container.
        model, url: the deployment that serves, and the URL of its route.
        log: the file that has what the harness or the server printed.
        use: an identifier that ``running`` and ``ended`` share.
        gpus: how many GPUs the use holds.
        seconds: how long the use took.
        exit_code: of the harness or the server.
        host, head: the job's host, and the process id of the Snakemake that started the job.
        more: fields that this version does not know.
    """

    phase: str
    time: str = ""
    attempt: int = 0
    detail: str = ""
    runtime: str = ""
    container: str = ""
    model: str = ""
    url: str = ""
    log: str = ""
    use: str = ""
    gpus: int = 0
    seconds: float | None = None
    exit_code: int | None = None
    host: str = ""
    head: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the event as one line, without empty fields. The time comes first."""
        known = {name: getattr(self, name) for name in _DEFAULTS}
        given = {name: value for name, value in known.items() if value != _DEFAULTS[name]}
        return json.dumps({"time": self.time, "phase": self.phase, **given, **self.more})

    @property
    def moment(self) -> float:
        """The time in seconds since the epoch; 0 if the time is damaged."""
        try:
            return datetime.fromisoformat(self.time).timestamp()
        except ValueError:
            return 0.0


#: The fields that a line may leave out, and what they are then.
_DEFAULTS: dict[str, Any] = {
    name: spec.default
    for name, spec in Event.__dataclass_fields__.items()
    if name not in ("phase", "time", "more")
}


def now() -> str:
    """Return the time in UTC, ISO 8601, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Journal:
    """Appends the events of one attempt, or of one server, to a file.

    A full disk or an absent directory loses events. It never fails the job.

    Attributes:
        attempt: the number that events get; 0 until an attempt begins.
    """

    def __init__(self, file: Path, attempt: int = 0) -> None:
        self.file = file
        self.attempt = attempt

    def add(self, event: Event) -> None:
        """Append *event* with the present time and the attempt's number, in one write."""
        stamped = replace(event, time=event.time or now(), attempt=event.attempt or self.attempt)
        line = f"{stamped.to_json()}\n".encode("utf-8", "replace")
        with contextlib.suppress(OSError):
            file = os.open(self.file, _APPEND, 0o666)
            try:
                os.write(file, line)
            finally:
                os.close(file)


def read(file: Path | str) -> list[Event]:
    """Return the events of *file*, the oldest first; nothing if there are none.

    Skips what a crash or a full disk left of a line.
    """
    try:
        with open(file, "rb", opener=without_waiting) as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - _MAX_BYTES))
            text = opened.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [event for line in text.splitlines() if (event := _event(line)) is not None]


def _event(line: str) -> Event | None:
    """Return the event of a line. A whole event may follow on what was torn off before it."""
    start = line.rfind(_START)
    if start < 0:
        return None
    try:
        data = json_value(line[start:])
        phase, time = data.pop("phase"), data.pop("time")
    except DAMAGE:
        return None
    known = {
        name: data.pop(name)
        for name, default in _DEFAULTS.items()
        if _fits(data.get(name), default, name)
    }
    if "detail" in known:  # a harness may have printed half a surrogate, which cannot be printed
        known["detail"] = known["detail"].encode("utf-8", "replace").decode()
    return Event(str(phase), str(time), **known, more=data)


def _fits(value: object, default: object, name: str) -> bool:
    """Whether a field's value has its type; a later version may give it another."""
    if isinstance(value, bool):
        return False
    if name == "seconds":
        return isinstance(value, int | float) and abs(value) < _LARGEST
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return False
    return isinstance(value, int if name == "exit_code" else type(default))


def doing(events: Sequence[Event]) -> str:
    """Return what a job that runs said last; nothing if no job has begun since the last end."""
    if not events or events[-1].phase in ENDS:
        return ""
    found = last(event for event in events if event.detail)
    return found.detail if found else ""


def last(events: Iterable[Event], attempt: int = 0, *phases: str) -> Event | None:
    """Return the last event of an *attempt* (0 for any), among *phases* if some are given."""
    found = None
    for event in events:
        if attempt in (0, event.attempt) and (not phases or event.phase in phases):
            found = event
    return found
