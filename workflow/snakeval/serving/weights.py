"""Digests of model weights on this machine, kept so that no file is read twice.

Weights are known by the SHA-256 of every file, whole: a fine-tuned model may differ from its base
only in the middle of a file. Reading hundreds of gigabytes takes minutes, so the digest of a file
is kept in ``$SNAKEVAL_HOME/weights`` with its real path, size, times of change and inode. Only the
head of a run that starts reads weights. A dry run and jobs look at the kept digests.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import digest
from snakeval.files import home, read_state, sealed, without_seal, write_atomically

#: Files in a checkpoint's directory that no server reads.
_NOT_WEIGHTS = ("*.md", "LICENSE*", "NOTICE*", "*.png", "*.jpg", "*.jpeg", "*.gif", "*.pdf")
#: How many files are read at once, and how much of a file at a time.
_AT_ONCE, _PART = 4, 1 << 22
#: A file that changed less than so many seconds ago may change again within the same tick.
_SETTLED_SECONDS = 2.0
#: Seconds between two lines of progress.
_REPORT_SECONDS = 5.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of a checkpoint, as the file system describes it."""

    name: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int

    @property
    def key(self) -> list[Any]:
        """The values that must be equal so that a kept digest counts.

        A program can set the time of a content's change back, but not that of a file's change.
        """
        return [self.size, self.mtime_ns, self.inode, self.ctime_ns]


def files_of(checkpoint: Path) -> list[WeightFile]:
    """Return the files of a checkpoint by name, without reading any.

    Directories behind links belong to it. Hidden files do not: git and the hub's client leave them.

    Raises:
        ConfigError: it cannot be listed.
    """
    try:
        if not checkpoint.is_dir():
            # The name of a single file changes nothing.
            return [_file(checkpoint.suffix, str(checkpoint))]
        found, seen = [], set()
        for folder, folders, names in os.walk(checkpoint, followlinks=True, onerror=_raise):
            seen.add(os.path.realpath(folder))
            folders[:] = [
                f for f in folders
                if not f.startswith(".") and f != "__pycache__"
                and os.path.realpath(f"{folder}/{f}") not in seen
            ]  # fmt: skip
            for name in names:
                if name.startswith(".") or any(fnmatchcase(name, p) for p in _NOT_WEIGHTS):
                    continue
                path = f"{folder}/{name}"
                if Path(path).is_file():  # neither a broken link nor a pipe
                    found.append(_file(os.path.relpath(path, checkpoint), path))
        return sorted(found, key=lambda file: file.name)
    except OSError as error:
        raise unreadable(error, checkpoint) from None


def _file(name: str, path: str) -> WeightFile:
    real = os.path.realpath(path)
    stat = Path(real).stat()
    return WeightFile(name, real, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)


def _raise(error: OSError) -> None:
    raise error


def unreadable(error: OSError, checkpoint: Path) -> ConfigError:
    """Return the error for a file of a checkpoint that cannot be read."""
    return ConfigError(
        f"{error.filename or checkpoint}: cannot be read ({error.strerror})",
        hint="correct its permissions, or set `weights_digest: stat` if reading is not allowed",
    )


def by_stat(files: Iterable[WeightFile]) -> str:
    """Return a digest of the names, sizes and times of change of *files*."""
    return digest([[file.name, file.size, file.mtime_ns] for file in files])


class Kept:
    """The kept digests of one checkpoint's files."""

    def __init__(self, checkpoint: Path) -> None:
        real = os.path.realpath(checkpoint)
        self._path = home() / "weights" / f"{digest(real)[:16]}.json"
        self._lock = threading.Lock()
        self._data = self._load()

    def get(self, what: str, key: list[Any]) -> str | None:
        """Return the digest that is kept of *what*, if its *key* is the same."""
        entry = self._data.get(what)
        return str(entry[1]) if entry and entry[0] == key else None

    def put(self, what: str, key: list[Any], value: str) -> None:
        """Keep a digest at once: an interrupted start does not read the file again."""
        with self._lock:
            self._data = {**self._load(), what: [key, value]}
            with contextlib.suppress(OSError):  # the next start reads the file again
                write_atomically(self._path, sealed(self._data))

    def _load(self) -> dict[str, Any]:
        """Return what is kept; nothing if that cannot be read, since files can be read again."""
        with contextlib.suppress(OSError):
            return read_state(self._path, _parse) or {}
        return {}


def _parse(data: dict[str, Any]) -> dict[str, Any]:
    digests = without_seal(data)
    for name, (key, value) in digests.items():
        if not isinstance(key, list) or not isinstance(value, str):
            raise ValueError(f"{name} has no digest")
    return digests


def known(checkpoint: Path) -> str | None:
    """Return the digest of a checkpoint if every file's is kept. Reads no weights.

    Raises:
        ConfigError: the checkpoint cannot be listed.
    """
    files, kept = files_of(checkpoint), Kept(checkpoint)
    digests = [kept.get(file.path, file.key) for file in files]
    return None if None in digests else _whole(files, digests)


def weigh(checkpoint: Path, say: Report | None = None, name: str = "") -> str:
    """Return the digest of a checkpoint; read each file whole whose digest is not kept.

    Raises:
        ConfigError: a file cannot be read, or changes meanwhile.
    """
    files, kept = files_of(checkpoint), Kept(checkpoint)
    digests = {file.name: kept.get(file.path, file.key) for file in files}
    missing = [file for file in files if digests[file.name] is None]
    if missing:
        try:
            digests.update(_read(missing, kept, say or _print, name or checkpoint.name))
        except OSError as error:
            raise unreadable(error, checkpoint) from None
    return _whole(files, [digests[file.name] for file in files])


def require_unchanged(checkpoint: Path, digest: str, stat: str) -> None:
    """Check that a checkpoint is the one of the plan, as far as a look at its files shows.

    A copy on another machine may have other times. It is then read once.

    Raises:
        EvaluationError: its files are different.
    """
    try:
        files = files_of(checkpoint)
        if by_stat(files) == stat:
            return
        if digest.startswith("sha256:") and weigh(checkpoint) == digest:
            return
    except ConfigError as error:
        raise EvaluationError(str(error)) from None
    raise EvaluationError(
        f"{checkpoint}: the weights changed since the run started",
        hint="run the same command again",
    )


def is_same_by_stat(checkpoint: Path, stat: str) -> bool:
    """Whether a checkpoint is there, with files of the names, sizes and times of *stat*."""
    try:
        return by_stat(files_of(checkpoint)) == stat
    except ConfigError:
        return False


def _whole(files: Sequence[WeightFile], digests: Sequence[str | None]) -> str:
    rows = [[f.name, f.size, d] for f, d in zip(files, digests, strict=True)]
    return f"sha256:{digest(rows)}"


def _read(files: Sequence[WeightFile], kept: Kept, say: Report, name: str) -> dict[str, str]:
    """Return the digests of *files*, several of which are read at once."""
    progress = _Progress(name, sum(file.size for file in files), say)
    stop = threading.Event()

    def read(file: WeightFile) -> tuple[str, str]:
        value = _of_file(file, progress.add, stop)
        after = _file(file.name, file.path)
        if after.key != file.key:
            raise ConfigError(f"{file.path}: changes while it is read; wait until it is complete")
        if time.time() - file.mtime_ns / 1e9 > _SETTLED_SECONDS:
            kept.put(file.path, file.key, value)
        return file.name, value

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            # The largest first, so that none is left alone at the end.
            found = dict(pool.map(read, sorted(files, key=lambda file: -file.size)))
        except BaseException:
            stop.set()  # an interrupt must not wait for hundreds of gigabytes
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.end()
    return found


def _of_file(file: WeightFile, add: Callable[[int], None], stop: threading.Event) -> str:
    total, part = hashlib.sha256(), memoryview(bytearray(_PART))
    with open(file.path, "rb", buffering=0) as content:  # noqa: PTH123
        while count := content.readinto(part):
            if stop.is_set():
                raise InterruptedError
            total.update(part[:count])
            add(count)
    return total.hexdigest()


class _Progress:
    """A line from time to time about how much is read."""

    def __init__(self, name: str, total: int, say: Report) -> None:
        self._name, self._total, self._say = name, total, say
        self._lock, self._done = threading.Lock(), 0
        self._begun = self._told = time.monotonic()
        self._reported = False

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() - self._told > _REPORT_SECONDS:
                self._line()

    def end(self) -> None:
        """Report the end, if the beginning was reported."""
        if self._reported:
            self._line()

    def _line(self) -> None:
        self._told, self._reported = time.monotonic(), True
        speed = self._done / max(self._told - self._begun, 1e-9) / 1e6
        self._say(
            f"Hashing the weights of {self._name}: {self._done / 1e9:.1f} of "
            f"{self._total / 1e9:.1f} GB, {speed:.0f} MB/s"
        )


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
