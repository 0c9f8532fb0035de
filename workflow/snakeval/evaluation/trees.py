"""Copies, lists and flushes the artifacts of attempts."""
# ruff: noqa: PTH100, PTH115

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from snakeval.files import replace_link, without_waiting

#: More files than these are flushed with their whole file system, which takes less time.
_MANY_FILES = 64


#: The errors of a look at a path at which no file can be.
GONE = frozenset([errno.ENOENT, errno.ENOTDIR, errno.ELOOP])


def files(directory: Path, ignore: Sequence[str] = ()) -> Iterator[tuple[str, Path]]:
    """Yield the relative path and the path of each file, except those that fit *ignore*.

    *ignore* are shell patterns of relative paths. ``*`` also matches slashes. A link that leads out
    of *directory* is no file of it: a harness may have made the link.
    """
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            own = is_artifact(path, directory) if path.is_symlink() else path.is_file()
            if own and not fits(relative, ignore):
                yield relative, path


def is_artifact(path: Path, directory: Path) -> bool:
    """Whether *path* is a file, and is in *directory* also behind all links."""
    try:
        return path.is_file() and path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return False


def fits(relative: str, patterns: Sequence[str]) -> bool:
    """Whether a relative path fits one of the shell patterns."""
    return any(fnmatchcase(relative, pattern) for pattern in patterns)


def manifest(directory: Path, ignore: Sequence[str] = ()) -> tuple[dict[str, Any], ...]:
    """Return path, size in bytes and SHA-256 of every file.

    Raises:
        OSError: a file cannot be read.
    """
    entries = []
    for relative, path in files(directory, ignore):
        entries.append({"path": relative, "size": path.stat().st_size, "sha256": _sha256(path)})
    return tuple(entries)


def manifest_text(manifest: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the file of a manifest that is apart from its record."""
    return json.dumps([*manifest], separators=(",", ":"))


#: The manifest of more files than this is a file of its own; the record keeps the first ones.
MANY, HEAD = 1_000, 100


def head(manifest: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the first files of a manifest, those of few folders first, as results are."""
    return tuple(sorted(manifest, key=lambda e: (e["path"].count("/"), e["path"]))[:HEAD])


def digest_of_sizes(directory: Path) -> str:
    """Return a digest of the names and sizes of all files. A listing of each folder suffices.

    A file server sends the sizes with the names, so a listing takes far less time than a look at
    each file by its path.

    Raises:
        OSError: a folder or a file cannot be looked at.
    """
    digest = hashlib.sha256()
    folders = [("", os.fspath(directory))]
    while folders:
        relative, path = folders.pop()
        rows, below = [], []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                    continue
                try:
                    found = entry.stat()
                except FileNotFoundError:  # a link to nothing, or a file that disappears now
                    rows.append((entry.name, -1, 0))
                    continue
                rows.append((entry.name, found.st_size, stat.S_IFMT(found.st_mode)))
        digest.update(repr((relative, sorted(rows))).encode("utf-8", "surrogateescape"))
        folders += [(f"{relative}/{name}", f"{path}/{name}") for name in sorted(below)]
    return digest.hexdigest()


def changed(
    directory: Path, expected: Iterable[Mapping[str, Any]], ignore: Sequence[str] = ()
) -> str:
    """Return the first file of a manifest whose content is another now; empty if none is.

    Raises:
        OSError: a file cannot be read.
    """
    for entry in expected:
        if (
            not fits(entry["path"], ignore)
            and _sha256(directory / entry["path"]) != entry["sha256"]
        ):
            return str(entry["path"])
    return ""


def _sha256(path: Path) -> str:
    with open(path, "rb", opener=without_waiting) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sizes(directory: Path, ignore: Sequence[str] = ()) -> dict[str, int]:
    """Return the size in bytes of every file by its relative path.

    Raises:
        OSError: a file cannot be looked at.
    """
    return {relative: path.stat().st_size for relative, path in files(directory, ignore)}


def is_as_large(directory: Path, expected: dict[str, int]) -> bool:
    """Whether each file is there with its size."""
    for relative, size in expected.items():
        try:
            found = (directory / relative).stat()
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False
        if found.st_size != size or not stat.S_ISREG(found.st_mode):
            return False
    return True


def copy(source: Path, target: Path, patterns: Sequence[str]) -> int:
    """Copy the files that fit *patterns*; return their number.

    Holes of sparse files stay holes, and a file system that can share blocks shares them. A file
    that disappears meanwhile is left out.

    Raises:
        OSError: a file cannot be read or written.
    """
    number = 0
    for folder, _, names in os.walk(source):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(source)
            if not fits(relative.as_posix(), patterns):
                continue
            with contextlib.suppress(FileNotFoundError):
                number += _copy_file(path, target / relative, source)
    return number


def _copy_file(source: Path, target: Path, root: Path) -> bool:
    status = source.lstat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(_relative(source, root, [str(root.absolute())]) or source.readlink())
        return True
    with source.open("rb") as reading, target.open("wb") as writing:
        for start, length in _extents(reading.fileno(), status.st_size):
            _copy_range(reading.fileno(), writing.fileno(), start, length)
        writing.truncate(status.st_size)
    shutil.copystat(source, target)
    return True


def make_links_relative(directory: Path, *places: str) -> None:
    """Replace absolute links into *directory* by relative ones, which stay true if it moves.

    *places* are other paths that a harness may know it by, such as its mount in a container.

    Raises:
        OSError: a link cannot be replaced.
    """
    roots = [os.path.abspath(directory), os.path.realpath(directory), *places]
    for folder, folders, names in os.walk(directory):
        for path in (Path(folder, name) for name in [*folders, *names]):
            if path.is_symlink() and (target := _relative(path, directory, roots)):
                replace_link(path, target)


def _relative(link: Path, directory: Path, roots: Sequence[str]) -> str:
    """Return the relative target of an absolute link into *directory*; else nothing."""
    target = os.readlink(link)
    for root in roots:
        if target == root or target.startswith(f"{root}/"):
            return os.path.relpath(f"{directory}/{target[len(root) :]}", link.parent)
    return ""


def _extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of the parts of a file that are no holes."""
    position = 0
    while position < size:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
            position = os.lseek(file, start, os.SEEK_HOLE)
        except OSError:
            if position == 0:  # a file system that knows no holes; otherwise the rest is a hole
                yield 0, size
            return
        yield start, min(position, size) - start


def _copy_range(source: int, target: int, start: int, length: int) -> None:
    end = start + length
    with contextlib.suppress(OSError):  # not on this file system; the loop below copies the rest
        while start < end:
            copied = os.copy_file_range(source, target, min(end - start, 1 << 30), start, start)
            if copied == 0:
                return
            start += copied
    while start < end:
        part = os.pread(source, min(end - start, 1 << 20), start)
        if not part:
            return
        start += os.pwrite(target, part, start)


def flush(directory: Path, ignore: Sequence[str] = ()) -> None:
    """Flush every file to the disk, so that a record which says so is true after a power cut.

    Raises:
        OSError: a file cannot be written to the disk.
    """
    paths = [path for _, path in files(directory, ignore)]
    if len(paths) > _MANY_FILES and _flush_file_system(directory):
        return
    for path in paths:
        flush_file(path)
    for folder in {directory, *(path.parent for path in paths)}:
        flush_file(folder)


def flush_file(path: Path) -> None:
    """Flush a file, or the names in a directory, to the disk.

    Raises:
        OSError: it cannot be written.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _flush_file_system(directory: Path) -> bool:
    """Call syncfs(2); return whether this system has it and it succeeded."""
    file = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        import ctypes  # slow to import

        return bool(ctypes.CDLL(None).syncfs(file) == 0)
    except (AttributeError, OSError):
        return False
    finally:
        os.close(file)
