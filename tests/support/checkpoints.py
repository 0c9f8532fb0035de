"""Writes tiny checkpoints: directories with safetensors files, whole or half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: A time of change that is long ago.
LONG_AGO = 1_600_000_000


def safetensors(tensors: Mapping[str, bytes]) -> bytes:
    """Return the content of a safetensors file of one-byte tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, content in tensors.items():
        offsets = [end, end := end + len(content)]
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": offsets}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


def checkpoint(path: Path, weights: bytes = b"weights") -> Path:
    """Write a whole checkpoint with one file of weights."""
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(safetensors({"a": weights}))
    return path


def sharded(path: Path, shards: int = 2) -> Path:
    """Write a whole checkpoint of several files and their index."""
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    names = {f"t{n}": f"model-{n}-of-{shards}.safetensors" for n in range(1, shards + 1)}
    for tensor, name in names.items():
        (path / name).write_bytes(safetensors({tensor: b"x" * 9}))
    index = {"metadata": {"total_size": 9 * shards}, "weight_map": names}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return path


def adapter(path: Path) -> Path:
    """Write a whole LoRA adapter."""
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (path / "adapter_model.safetensors").write_bytes(safetensors({"lora": b"x"}))
    return path


def age(path: Path, time: float = LONG_AGO) -> None:
    """Set the times of a checkpoint's files; the kernel keeps their times of change as they are."""
    for file in path.iterdir():
        os.utime(file, (time, time))
