"""Reads and writes the note of a run's exports: the last result of each configured destination.

The note is ``<run>/export/delivered.json``, the output of the rule ``export``. The head of a run
reads it, so this module imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snakeval.files import read_json, write_atomically
from snakeval.run.directory import RunDirectory


def read(run: RunDirectory) -> dict[str, Any]:
    """Return the note's destinations; empty if there is no note."""
    try:
        found = (read_json(str(run.delivered)) or {}).get("destinations")
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}


def undelivered(run: RunDirectory) -> dict[str, str]:
    """Return the destinations with undelivered results, each with a reason."""
    return {
        name: str(next(iter(reasons.values())))
        for name, entry in read(run).items()
        if isinstance(reasons := entry.get("undelivered"), dict) and reasons
    }


def write(run: RunDirectory, entries: Mapping[str, Any]) -> None:
    """Replace the note."""
    write_atomically(run.delivered, json.dumps({"destinations": entries}, indent=1) + "\n")
