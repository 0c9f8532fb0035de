"""Reads state files of snakeval. A damaged one is reported once, and moved aside for repair."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from snakeval.files.parsing import DAMAGE, json_object
from snakeval.files.reading import NotAFileError, read_bytes

_T = TypeVar("_T")


class _Damage:
    """Whether this process repairs damaged state, and which files it has reported."""

    repairs = False
    reported: ClassVar[set[str]] = set()


def repair_damaged_state() -> None:
    """Let this process move damaged state files aside. Commands that only look never do."""
    _Damage.repairs = True


def read_state(path: Path | str, parse: Callable[[dict[str, Any]], _T]) -> _T | None:
    """Return what *parse* makes of the JSON object in a state file of snakeval.

    None if the file does not exist. None also if the file is damaged: then the function reports it
    once, and moves it aside as ``<name>.damaged-<n>`` in a process that repairs
    (:func:`repair_damaged_state`).

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        return _parsed(path, parse)
    except (NotAFileError, *DAMAGE):
        found = _found(path)
    try:
        return _parsed(path, parse)  # another process may have repaired it meanwhile
    except NotAFileError as error:
        why = str(error.strerror)
    except DAMAGE as error:
        why = f"{error}" if isinstance(error, ValueError) else f"{error!r}"
    set_aside(path, why, found=found)
    return None


def _parsed(path: Path | str, parse: Callable[[dict[str, Any]], _T]) -> _T | None:
    content = read_bytes(path)
    return None if content is None else parse(json_object(content))


def discard(path: Path, why: str) -> None:
    """Remove a state file that this process replaces; what is no file moves aside.

    Raises:
        OSError: the user may not change it.
    """
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        if not path.is_dir():
            raise
        set_aside(path, why, replaces=True)
        if path.is_dir():
            raise


#: Identifies the thing at a path: its kind, its device, its inode, and when it was written.
_Found = tuple[int, int, int, int]


def _found(path: Path | str) -> _Found | None:
    """Return what is at *path* now; None if nothing is, or it cannot be seen."""
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    written = 0 if stat.S_ISDIR(seen.st_mode) else seen.st_mtime_ns
    return stat.S_IFMT(seen.st_mode), seen.st_dev, seen.st_ino, written


def set_aside(
    path: Path | str, why: str, *, replaces: bool = False, found: _Found | None = None
) -> None:
    """Report once that a state file is damaged, and move it aside in a process that repairs.

    A process that *replaces* the file repairs it. Something else than *found* does not move.
    """
    moved = _moved_aside(Path(path), found) if _Damage.repairs or replaces else None
    if (place := os.fspath(path)) in _Damage.reported and moved is None:
        return
    _Damage.reported.add(place)
    kept = f"; kept as {moved.name}" if moved else ""
    print(f"snakeval: {place} is damaged ({why[:200]}){kept}", file=sys.stderr, flush=True)


def make_way(path: Path) -> None:
    """Move aside what is in the place of a directory but is none, and report it."""
    found = _found(path)  # once: another process may make the directory meanwhile
    if found is None or found[0] == stat.S_IFDIR:
        return
    if found[0] == stat.S_IFLNK:
        if path.is_dir():
            return
        why = "no directory" if path.exists() else "a broken link"
    else:
        why = "no directory"
    set_aside(path, why, replaces=True, found=found)


def make_way_for_file(path: Path) -> None:
    """Move aside what is in the place of a file but is none, and report it."""
    found = _found(path)
    if found is None or found[0] == stat.S_IFREG or path.is_file():
        return
    is_broken = found[0] == stat.S_IFLNK and not path.exists()
    set_aside(path, "a broken link" if is_broken else "no file", replaces=True, found=found)


def _moved_aside(path: Path, found: _Found | None) -> Path | None:
    """Move what is at *path*, if it still is as *found*; return its new place.

    Another process may repair it at the same time. Its repair has another kind than the damage (a
    file for a directory, a directory for a file), and the rename to a target of this kind fails.
    """
    now = _found(path)
    if now is None or found not in (None, now):
        return None
    for number in range(1, 1000):
        target = path.with_name(f"{path.name}.damaged-{number}")
        try:
            target.mkdir() if now[0] == stat.S_IFDIR else target.touch(exist_ok=False)
        except FileExistsError:
            continue
        except OSError:
            return None  # this process may not write here, or there is no space
        try:
            path.rename(target)
        except OSError:
            target.rmdir() if now[0] == stat.S_IFDIR else target.unlink()
            return None  # another process has moved it, or this one may not
        return target
    return None
