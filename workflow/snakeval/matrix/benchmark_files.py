"""The files of a benchmark: their digest, and the snapshot from which its evaluations run.

The head hashes the files when a command plans, and a harness reads them hours later. The harness
therefore reads a copy in the run, whose name is the digest, so that an edit in between changes no
evaluation.
"""

# ruff: noqa: PTH118

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakeval.errors import ConfigError, EvaluationError
from snakeval.files import read_list, replacing, write_atomically

#: In how many ways links may lead to one folder. Nested links multiply.
_MOST_WAYS = 100


def files_digest(directory: Path, *, follow: bool = True) -> str:
    """Return the SHA-256 over the names and contents of the files below *directory*.

    Skips hidden files and ``__pycache__``, which editors and interpreters leave. Without *follow*,
    it skips directories behind links, as format 1 did.

    Raises:
        ConfigError: a file cannot be read.
    """
    return _digest(_files(directory, follow))


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    total = hashlib.sha256()
    for relative, path in files:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConfigError(
                    f"{path}: is a pipe, a socket or a device; move it out of the benchmark's files"
                )
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
        total.update(f"{len(relative)}:{relative}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


def take_snapshot(directory: Path, digest: str, target: Path) -> None:
    """Copy the files of *directory*, which have *digest*, to *target*, unless they are there.

    Evaluations may read the copy meanwhile, so its files are replaced one by one.

    Raises:
        ConfigError: a file cannot be read, or the files changed since the command planned.
        OSError: the copy cannot be written.
    """
    if is_intact(target, digest):
        _sync(directory, target)
        return
    files = list(_files(directory, follow=True))
    target.mkdir(parents=True, exist_ok=True)
    for relative, path in files:
        copy = target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        with replacing(copy) as draft:
            shutil.copy2(path, draft)
    _sync(directory, target)
    write_atomically(_list_of(target), json.dumps([relative for relative, _ in files]))
    if not is_intact(target, digest):
        _list_of(target).unlink()
        raise ConfigError(
            f"{directory}: its files changed while the run started; run the same command again"
        )


def _sync(directory: Path, target: Path) -> None:
    """Give the copy what no digest covers: empty folders, and which files are executable."""
    for folder, names in _folders(directory, follow=True):
        copied = target / folder.relative_to(directory)
        copied.mkdir(parents=True, exist_ok=True)
        for name in names:
            wanted, found = (path.stat().st_mode & 0o777 for path in (folder / name, copied / name))
            if (wanted ^ found) & 0o111:
                (copied / name).chmod(wanted)


def is_intact(snapshot: Path, digest: str) -> bool:
    """Return whether the files of a snapshot have *digest*, or one that begins so.

    A harness without a container may have added files, which are no part of it.
    """
    try:
        names = read_list(_list_of(snapshot))
        return names is not None and _of_names(snapshot, names).startswith(digest)
    except (OSError, ValueError, ConfigError):
        return False


def require_snapshot(directory: Path) -> None:
    """Check that a snapshot, whose name is a digest, is what it was; others are not checked.

    Raises:
        EvaluationError: something changed the files.
    """
    if _list_of(directory).exists() and not is_intact(directory, directory.name):
        raise _changed(directory)


@contextmanager
def private_copy(snapshot: Path, place: Path) -> Iterator[Path]:
    """Yield a copy of a snapshot below *place* for one harness, which may write beside its files.

    A harness without a container could otherwise change what the next one reads. Yields a directory
    that is no snapshot unchanged.

    Raises:
        EvaluationError: something changed the files.
    """
    if (names := _names(snapshot)) is None:
        yield snapshot
        return
    copy = Path(tempfile.mkdtemp(prefix="files-", dir=place))
    try:
        for folder, _, _ in os.walk(snapshot):
            (copy / os.path.relpath(folder, snapshot)).mkdir(exist_ok=True)
        _copy_names(snapshot, copy, names)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _copy_names(snapshot: Path, copy: Path, names: Iterable[Any]) -> None:
    for name in map(str, names):
        target = Path(os.path.normpath(copy / name))
        try:
            if not target.is_relative_to(copy) or not (snapshot / name).is_file():
                raise _changed(snapshot)
            shutil.copy2(snapshot / name, target)
        except (FileNotFoundError, IsADirectoryError):
            raise _changed(snapshot) from None
    if not _of_names(copy, names).startswith(snapshot.name):
        raise _changed(snapshot)


def _names(snapshot: Path) -> list[Any] | None:
    """Return the files of a snapshot; None if the directory is none.

    Raises:
        EvaluationError: the list of its files is damaged.
    """
    try:
        return read_list(_list_of(snapshot))
    except ValueError:
        raise _changed(snapshot) from None


def _changed(snapshot: Path) -> EvaluationError:
    return EvaluationError(
        f"{snapshot}: the benchmark's files changed since the run started",
        hint="run the same command again",
    )


def _of_names(snapshot: Path, names: Iterable[Any]) -> str:
    return _digest((str(name), snapshot / str(name)) for name in names)


def _list_of(snapshot: Path) -> Path:
    """Return the list of a snapshot's files."""
    return snapshot.with_name(f"{snapshot.name}.json")


def _files(directory: Path, follow: bool) -> Iterator[tuple[str, Path]]:
    """Yield the files with their relative names, in one order on every machine."""
    for folder, names in _folders(directory, follow):
        for name in names:
            path = folder / name
            yield path.relative_to(directory).as_posix(), path


def _folders(directory: Path, follow: bool) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the names of its files.

    A link to a folder that contains it ends there. Other links lead to folders of their own, as
    they do for a harness.

    Raises:
        ConfigError: links lead to one folder in too many ways.
    """
    above: dict[str, tuple[str, ...]] = {os.fspath(directory): (os.path.realpath(directory),)}
    ways = Counter[str]()
    for folder, folders, names in os.walk(directory, followlinks=follow):
        real = above.pop(folder, ())
        ways.update(real[-1:])
        if any(ways[each] > _MOST_WAYS for each in real[-1:]):
            raise ConfigError(f"{folder}: links lead to it in more than {_MOST_WAYS} ways")
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        if follow:
            inner = {f: os.path.realpath(os.path.join(folder, f)) for f in folders}
            folders[:] = [f for f in folders if inner[f] not in real]
            above |= {os.path.join(folder, f): (*real, inner[f]) for f in folders}
        yield Path(folder), sorted(name for name in names if not name.startswith("."))
