"""Reads and writes the note of a run's exports: the last result of each configured destination.

The note is ``<run>/export/delivered.json``, the output of the rule ``export``. The head of a run
reads it, so this module imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snakeval.files import write_atomically
from snakeval.run.directory import RunDirectory


def read(run: RunDirectory) -> dict[str, Any]:
    """Return the note's destinations; empty if there is no note."""
    try:
        found = json.loads(run.delivered.read_text(encoding="utf-8"))["destinations"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def undelivered(run: RunDirectory) -> dict[str, str]:
    """Return the destinations with undelivered results, each with a reason."""
    return {
        name: str(next(iter(entry["undelivered"].values())))
        for name, entry in read(run).items()
        if entry.get("undelivered")
    }


def write(run: RunDirectory, entries: Mapping[str, Any]) -> None:
    """Replace the note."""
    write_atomically(run.delivered, json.dumps({"destinations": entries}, indent=1) + "\n")
