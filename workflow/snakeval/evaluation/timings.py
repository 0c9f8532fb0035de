"""Records how long harnesses and servers ran and how many GPUs they held.

A use is a pair of events, ``running`` and ``ended``, because a kill can come between the two. Then
the time of the log's last line is the end.
"""

from __future__ import annotations

import contextlib
import glob
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from snakeval.evaluation import events
from snakeval.evaluation.directory import JobDirectory
from snakeval.evaluation.events import Event, Journal
from snakeval.files import DAMAGE, json_value, read_text


@dataclass(frozen=True, slots=True)
class Use:
    """``seconds`` of a harness, or of a server, that held ``gpus`` GPUs."""

    seconds: float
    gpus: int = 0


class Using:
    """A use that lasts. The code that ends it may set ``exit_code``."""

    exit_code: int | None = None


@contextlib.contextmanager
def use(journal: Journal, log: Path, gpus: int = 0) -> Iterator[Using]:
    """Record a use for as long as the context lasts."""
    name, clock, using = _name(), time.monotonic(), Using()
    journal.add(Event("running", use=name, gpus=gpus, log=log.name))
    try:
        yield using
    finally:
        seconds = round(time.monotonic() - clock, 3)
        code = using.exit_code
        journal.add(Event("ended", use=name, gpus=gpus, seconds=seconds, exit_code=code))


def add(journal: Journal, seconds: float) -> None:
    """Record a use that has ended."""
    journal.add(Event("ended", use=_name(), seconds=seconds))


def _name() -> str:
    return uuid.uuid4().hex[:12]


def read(directory: JobDirectory) -> list[Use] | None:
    """Return the uses of a directory, whose logs are somewhere below it.

    None if there are none, or if the length of a use is unknown.
    """
    old = _old(directory.timings)
    if old is None:
        return None
    uses: dict[str, dict[str, Any]] = {entry["use"]: entry for entry in old}
    for event in events.read(directory.events):
        if event.use and event.phase == "running":
            started = {"started": event.moment, "log": event.log, "gpus": event.gpus}
            uses.setdefault(event.use, {}).update(started)
        elif event.use and event.phase == "ended" and event.seconds is not None:
            ended = {"seconds": event.seconds, "gpus": event.gpus}
            uses.setdefault(event.use, {}).update(ended)
    try:
        found = [
            Use(
                _plausible(entry["seconds"])
                if "seconds" in entry
                else _until_its_last_line(entry, directory.path),
                int(_plausible(entry.get("gpus", 0))),
            )
            for entry in uses.values()
        ]
    except (OSError, *DAMAGE):
        return None  # a report without it is still one
    return found or None


def _old(file: Path) -> list[dict[str, Any]] | None:
    """Return the uses of a run before there were events; None if the file is damaged.

    The next release removes this reader: docs/decisions/6-old-formats.md.
    """
    uses: dict[str, dict[str, Any]] = {}
    try:
        for line in read_text(file).splitlines():
            entry = json_value(line)
            uses.setdefault(entry["use"], {}).update(entry)
    except FileNotFoundError:
        return []
    except (OSError, *DAMAGE):
        return None
    return list(uses.values())


def _plausible(number: object) -> float:
    """Return a number of seconds or GPUs from a file.

    Raises:
        ValueError, TypeError: it is none.
    """
    if not isinstance(number, int | float) or not 0 <= number < _MOST:
        raise ValueError(f"{number!r:.40} is no number of seconds or GPUs")
    return float(number)


#: No use takes as many seconds, which are 30,000 years.
_MOST = 10**12


def _until_its_last_line(entry: dict[str, Any], logs: Path) -> float:
    name = PurePath(entry["log"])
    if not name.name or name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{entry['log']!r:.40} is no log of the directory")
    ended = max(path.stat().st_mtime for path in logs.rglob(glob.escape(str(name))))
    return max(0.0, float(ended - entry["started"]))
