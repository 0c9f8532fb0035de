"""Reads what W&B writes offline: a log of records, in the format of LevelDB's log.

https://github.com/google/leveldb/blob/main/doc/log_format.md, after a header of seven bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 32768


@dataclass
class Offline:
    """One run as `wandb sync` would upload it."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    resume: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def history(self) -> int:
        """The number of rows of the history."""
        return len(self.rows)


def read(directory: Path) -> Offline:
    """Read the run of an `offline-run-…` directory."""
    # Importing it takes more than a second, for every process that collects tests.
    from wandb.proto import wandb_internal_pb2 as proto

    (path,) = directory.glob("*.wandb")
    run = Offline()
    for data in _records(path.read_bytes()):
        record = proto.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            said = record.run
            run.id, run.name, run.project = said.run_id, said.display_name, said.project
            run.group, run.tags = said.run_group, list(said.tags)
            _set(run.config, said.config.update)
        elif kind == "summary":
            _set(run.summary, record.summary.update)
        elif kind == "config":
            _set(run.config, record.config.update)
        elif kind == "history":
            run.rows.append({})
            _set(run.rows[-1], record.history.item)
        elif kind == "artifact":
            run.files += [entry.path for entry in record.artifact.manifest.contents]
        elif kind == "request" and record.request.HasField("log_artifact"):
            manifest = record.request.log_artifact.artifact.manifest
            run.files += [entry.path for entry in manifest.contents]
    return run


def _set(target: dict[str, Any], items: Any) -> None:
    for item in items:
        target["/".join(item.nested_key) or item.key] = json.loads(item.value_json)


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    position, parts = 7, b""
    while position + 7 <= len(data):
        room = _BLOCK - position % _BLOCK
        if room < 7:  # too little for a header: the rest of the block is zeros
            position += room
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
