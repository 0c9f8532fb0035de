"""Judges if a checkpoint is whole: the training writes it no more. Never reads weights.

With ``auto``, each ``*.safetensors`` file must have the size that its header declares, the index
must name only files and tensors that are there, and two looks some seconds apart must agree. The
head looks at all checkpoints of a series at once. A dry run looks once: a checkpoint whose files
changed within those seconds is not settled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.checkpoints import AUTO
from snakeval.errors import ConfigError
from snakeval.files import DAMAGE, json_object
from snakeval.serving.weights import WeightFile, by_stat, files_of

#: Seconds between two looks.
APART = 5.0
NOT_SETTLED = "not settled yet"
GONE = "gone"
_INDEX = "model.safetensors.index.json"
_ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
#: The largest header that the safetensors library reads, in bytes.
_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """The result of a look at a checkpoint.

    Attributes:
        why_not: the reason why it is not ready; empty if it is.
        is_adapter: whether it is a LoRA adapter, which requires the weights of its base model.
        stat: a digest of the names, sizes and times of its files, if it is ready.
    """

    why_not: str = ""
    is_adapter: bool = False
    stat: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Look:
    files: tuple[WeightFile, ...]
    judged: Judged


def judge(
    paths: Iterable[str],
    ready: str = AUTO,
    *,
    waits: bool = True,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> dict[str, Judged]:
    """Return what is known of each checkpoint. *ready* is ``auto`` or the name of a marker file.

    A dry run never *waits* for a second look.
    """
    if ready != AUTO:
        return {path: _marked(Path(path), ready) for path in paths}
    first = {path: _look(Path(path)) for path in paths}
    whole = [path for path, look in first.items() if not look.judged.why_not]
    judged = {path: look.judged for path, look in first.items()}
    if waits and whole:
        sleep(APART)
    for path in whole:
        if waits:
            judged[path] = _agreed(first[path], _look(Path(path)))
        elif (newest := _newest(first[path].files)) > clock() - APART:
            seconds = max(0, round(clock() - newest))
            judged[path] = _unsettled(f"it changed {seconds} s ago", judged[path].is_adapter)
    return judged


def _marked(path: Path, ready: str) -> Judged:
    is_adapter = (path / _ADAPTER).exists()
    if (path / ready).exists():
        try:
            return Judged(is_adapter=is_adapter, stat=by_stat(files_of(path)))
        except ConfigError as error:
            return _unsettled(f"it cannot be read ({_reason(error)})", is_adapter)
    if not path.is_dir():
        return Judged(GONE)
    return _unsettled(f"it has no {ready}", is_adapter)


def _agreed(first: _Look, second: _Look) -> Judged:
    if second.judged.why_not or first == second:
        return second.judged
    return _unsettled("its files change", second.judged.is_adapter)


def _newest(files: Iterable[WeightFile]) -> float:
    """Return when a file changed last, also by its change time, which no copy sets back."""
    return max((max(f.mtime_ns, f.ctime_ns) for f in files), default=0) / 1e9


def _unsettled(why: str, is_adapter: bool = False) -> Judged:
    return Judged(f"{NOT_SETTLED}: {why}", is_adapter)


def _look(path: Path) -> _Look:
    try:
        files = tuple(files_of(path)) if path.is_dir() else ()
        names = {file.name: file for file in files}
        why = _why_not_whole(names) if path.is_dir() else ""
    except (ConfigError, OSError) as error:
        files, names, why = (), {}, f"it cannot be read ({_reason(error)})"
    if not path.is_dir():
        return _Look((), Judged(GONE))
    is_adapter = _ADAPTER in names
    if why:
        return _Look(files, _unsettled(why, is_adapter))
    return _Look(files, Judged("", is_adapter, by_stat(files)))


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _why_not_whole(files: Mapping[str, WeightFile]) -> str:
    """Return why the files are no whole checkpoint, or nothing."""
    shards = {name: file for name, file in files.items() if name.endswith(".safetensors")}
    if _ADAPTER in files:
        if _ADAPTER_WEIGHTS not in files:
            return f"{_ADAPTER_WEIGHTS} is missing"
    elif "config.json" not in files:
        return "config.json is missing"
    if not shards and _INDEX not in files:
        return "it has no safetensors, which auto requires; set `ready` to a file written last"
    tensors: dict[str, frozenset[str]] = {}
    for name, file in shards.items():
        try:
            tensors[name] = _tensors(file)
        except ValueError as error:
            return f"{name} {error}"
    for name in (_ADAPTER, "config.json"):
        if name in files and _read_object(files[name]) is None:
            return f"{name} is half-written"
    return _why_index_lacks(files[_INDEX], tensors) if _INDEX in files else ""


def _why_index_lacks(index: WeightFile, tensors: Mapping[str, frozenset[str]]) -> str:
    shard_of = (_read_object(index) or {}).get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of:
        return f"{_INDEX} is half-written"
    for shard, tensor in sorted((str(shard), tensor) for tensor, shard in shard_of.items()):
        if shard not in tensors:
            return f"{shard} is missing"
        if tensor not in tensors[shard]:
            return f"{shard} lacks {tensor}"
    return ""


def _read_object(file: WeightFile) -> dict[str, Any] | None:
    try:
        return json_object(Path(file.path).read_bytes())
    except DAMAGE:
        return None


def _tensors(file: WeightFile) -> frozenset[str]:
    """Return the names of the tensors that a safetensors file declares and has.

    Raises:
        ValueError: the file is shorter or longer than it declares; the text continues its name.
    """
    with Path(file.path).open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if file.size < 8 or length > min(file.size - 8, _HEADER_BYTES):
            raise ValueError("is half-written")
        text = content.read(length)
    try:
        header = json_object(text)
        header.pop("__metadata__", None)
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    except DAMAGE:
        raise ValueError("has no valid header") from None
    declared = 8 + length + max(ends, default=0)
    if declared != file.size:
        raise ValueError(f"has {file.size} of {declared} bytes")
    return frozenset(header)
