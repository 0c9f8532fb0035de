"""Small configurations, built from texts or mappings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.config import Config
from snakeval.config.load import load

MODEL = {"endpoint": {"url": "http://host/v1", "model_id": "m"}}
COMMAND = {"harness": "generic", "command": "true", "metrics": {"file": "f", "values": {"v": "v"}}}
VALID = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}


def write(directory: Path, content: Mapping[str, Any] | str | bytes, name: str = "c.yaml") -> Path:
    path = directory / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return path


def config(directory: Path, content: Mapping[str, Any] | str, **overrides: Any) -> Config:
    return load([write(directory, content)], overrides)[0]


def changed(*path: str, to: Any) -> dict[str, Any]:
    """`VALID` with one value set, or with `to=...` (an Ellipsis) taken away."""
    data: dict[str, Any] = yaml.safe_load(yaml.safe_dump(VALID))
    place = data
    for key in path[:-1]:
        place = place.setdefault(key, {})
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return data
