"""Writes files atomically: a reader sees either all of the old text or all of the new text."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from snakeval.files.damage import set_aside
from snakeval.files.places import home
from snakeval.files.reading import NotAFileError, read_text


@contextlib.contextmanager
def replacing(path: Path, rename: Callable[[Path, Path], object] = Path.replace) -> Iterator[Path]:
    """Yield a draft beside *path*, which no other writer has, and *rename* it to *path* at the end.

    After an error *path* is unchanged and the draft is gone.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield draft
        rename(draft, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a write to a full disk has none
        draft.unlink(missing_ok=True)
        raise


def _rename(draft: Path, path: Path) -> None:
    """Rename *draft* to *path*; a directory in the place of a state file moves aside."""
    try:
        draft.replace(path)
    except IsADirectoryError:
        set_aside(path, "a directory", replaces=True)
        draft.replace(path)


def make_directory(path: Path) -> None:
    """Create a directory and those above it. snakeval's home is for its user alone (0700).

    Raises:
        OSError: it cannot be created.
    """
    _make_directory(path, private=_is_private(path))


def _make_directory(path: Path, *, private: bool) -> None:
    if not private:
        path.mkdir(parents=True, exist_ok=True)
        return
    place, top = path.resolve(), home().resolve()
    top.parent.mkdir(parents=True, exist_ok=True)
    for folder in reversed([place, *place.parents][: len(place.parts) - len(top.parts) + 1]):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
        elif folder.stat().st_mode & 0o077:
            with contextlib.suppress(OSError):  # another user's, as of a shared home, or read-only
                folder.chmod(0o700)


def _mode(mode: int, *, private: bool) -> int:
    """Return *mode*, without the bits of other users if the file is *private*."""
    return mode & 0o700 if private else mode


def _is_private(directory: Path) -> bool:
    """Whether *directory* is snakeval's home or is in it."""
    place, top = os.path.realpath(directory), os.path.realpath(home())
    return f"{place}/".startswith(f"{top}/")


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write *text* to a temporary file, flush it to the disk, and rename it to *path*.

    In snakeval's home, only its user may read the file and its directories.

    Raises:
        OSError: the write failed; *path* is unchanged and the temporary file is gone.
    """
    private = _is_private(path.parent)
    _make_directory(path.parent, private=private)
    with replacing(path, _rename) as draft:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(draft, flags, _mode(mode, private=private))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def write_if_changed(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Write *text* unless *path* already has it; return whether it was written.

    The function does not flush to the disk, since snakeval can write such files again.
    """
    try:
        if read_text(path) == text:
            if path.stat().st_mode & 0o077 and _is_private(path.parent):
                with contextlib.suppress(OSError):  # another user's, or read-only
                    path.chmod(_mode(mode, private=True))  # an earlier version wrote it for all
            return False
    except (FileNotFoundError, NotAFileError, UnicodeDecodeError):
        make_directory(path.parent)
    with replacing(path, _rename) as draft:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(_mode(mode, private=_is_private(path.parent)))
    return True


#: The beginning of a text in the place of a link.
_IT_IS_IN = "It is in "

#: The errors of a file system that has no hard or no symbolic links.
_NO_LINKS = frozenset(
    [errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV]
)


def replace_link(link: Path, target: Path | str) -> None:
    """Make *link* a symbolic link to *target*, in one step for readers and other writers."""
    with replacing(link, _rename) as draft:
        draft.symlink_to(target)


def has_linked(link: Path, target: Path | str) -> bool:
    """Do what :func:`replace_link` does, or return False: the file system has no such links."""
    try:
        replace_link(link, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def lead(link: Path, target: Path | str) -> None:
    """Make *link* a symbolic link to *target*, or a text that names it if there are no links."""
    if not has_linked(link, target):
        write_atomically(link, f"{_IT_IS_IN}{target}.\n")


def led_to(link: Path) -> Path | None:
    """Return the target of what :func:`lead` made, or None if nothing leads from there."""
    try:
        return link.readlink()
    except OSError:  # no link, or no file
        pass
    try:
        text = link.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text[len(_IT_IS_IN) : -2]) if text.startswith(_IT_IS_IN) else None


def create_exclusively(path: Path, text: str) -> bool:
    """Create *path* with *text*; return whether this process created it.

    No process can read an incomplete file, except on a file system without hard links. There, a
    process that is killed may leave an empty file.

    Raises:
        OSError: the file cannot be created.
    """
    make_directory(path.parent)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        # link(2) fails if the name exists, also on NFS.
        draft.write_text(text, encoding="utf-8")
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            return _create_without_links(path, text)
        if not _has_two_names(draft):  # NFS may lose the answer to a link that it has made
            raise
    finally:
        draft.unlink(missing_ok=True)
    return True


def _has_two_names(path: Path) -> bool:
    try:
        return path.stat().st_nlink > 1
    except OSError:
        return False


def _create_without_links(path: Path, text: str) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
    return True
