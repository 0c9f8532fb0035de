"""The note of a run's exports: the last result of each destination that its configuration names.

``<run>/export/delivered.json``, the output of the rule ``export``. The head of a run reads it, so
nothing heavy is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snakeval.files import write_atomically
from snakeval.run.directory import RunDirectory


def read(run: RunDirectory) -> dict[str, Any]:
    """Return the note's destinations; none where there is no note."""
    try:
        found = json.loads(run.delivered.read_text(encoding="utf-8"))["destinations"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def undelivered(run: RunDirectory) -> dict[str, str]:
    """Return the destinations that lack something, each with a reason."""
    return {
        name: str(next(iter(entry["undelivered"].values())))
        for name, entry in read(run).items()
        if entry.get("undelivered")
    }


def write(run: RunDirectory, entries: Mapping[str, Any]) -> None:
    """Replace the note."""
    write_atomically(run.delivered, json.dumps({"destinations": entries}, indent=1) + "\n")
