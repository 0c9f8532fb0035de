"""What was used for how long: a line where a use starts and one where it ends, beside its log.

Two lines, since whoever writes them may be killed in between. Then the log's last line says how
long it was at least.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "spent.jsonl"


@dataclass(frozen=True, slots=True)
class Use:
    """``seconds`` of a harness, or of a server, that held so many ``gpus``."""

    seconds: float
    gpus: int = 0


@contextlib.contextmanager
def use(directory: Path, log: Path, gpus: int = 0) -> Iterator[None]:
    """Note a use for as long as the context lasts."""
    name, clock = uuid.uuid4().hex[:12], time.monotonic()
    _add(directory, {"use": name, "started": time.time(), "gpus": gpus, "log": log.name})
    try:
        yield
    finally:
        seconds = round(time.monotonic() - clock, 3)
        _add(directory, {"use": name, "seconds": seconds, "gpus": gpus})


def add(directory: Path, seconds: float) -> None:
    """Note a use that has ended."""
    _add(directory, {"use": uuid.uuid4().hex[:12], "seconds": seconds})


def _add(directory: Path, line: dict[str, Any]) -> None:
    # On a full disk the report knows less, but nothing fails for it.
    with contextlib.suppress(OSError), (directory / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(directory: Path, logs: Path) -> list[Use] | None:
    """Return the uses noted in *directory*, whose logs are somewhere below *logs*.

    None where nothing was noted, or where it cannot be known how long a use was.
    """
    uses: dict[str, dict[str, Any]] = {}
    try:
        for line in (directory / FILE).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            uses.setdefault(entry["use"], {}).update(entry)
        return [
            Use(
                entry["seconds"] if "seconds" in entry else _until_its_last_line(entry, logs),
                entry.get("gpus", 0),
            )
            for entry in uses.values()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # a report without it is still one


def _until_its_last_line(entry: dict[str, Any], logs: Path) -> float:
    ended = max(path.stat().st_mtime for path in logs.rglob(entry["log"]))
    return max(0.0, float(ended - entry["started"]))
