"""Locates snakeval's home, and reads and writes files atomically.

A reader of a file sees either all of the old text or all of the new text. No other module parses
JSON or YAML, since damaged texts end the parsers with many kinds of errors.

A *sealed* JSON text ends with the SHA-256 of the text before it. Readers of an object with a seal
verify it, so no changed byte goes unnoticed.

Long because one module knows how damage shows, in reading and in writing.
"""
# ruff: noqa: PTH112

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

_T = TypeVar("_T")


class Directory:
    """A directory that a class owns. It holds the path as text, and construction reads nothing."""

    __slots__ = ("_place",)

    def __init__(self, path: Path | str) -> None:
        self._place = os.fspath(path)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)

    def __str__(self) -> str:
        """Return the path, as rules and messages begin with it."""
        return self._place

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"

    @property
    def path(self) -> Path:
        """The directory's path."""
        return Path(self._place)

    @property
    def exists(self) -> bool:
        """Whether the directory is there."""
        return os.path.isdir(self._place)


class NotAFileError(OSError):
    """There is something under a file's name, and it can never be read as a file."""


#: The errors of a name that is there and leads to no file.
_NO_FILE = {
    errno.EISDIR: "a directory",
    errno.ELOOP: "a link to itself",
    errno.ENXIO: "a socket",
    errno.ENODEV: "a device",
}


def read_bytes(path: Path | str) -> bytes | None:
    """Return the content of a small file, or None if the file does not exist.

    A file server may have replaced the file since it was looked up, and answers ESTALE. The
    function then opens the file again. It never waits for a pipe.

    Raises:
        NotAFileError: it is no file, such as a directory or a link to itself.
        OSError: the file exists and cannot be read.
    """
    for remaining in reversed(range(_STALE_TRIES)):
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(file)
                if stat.S_ISCHR(found.st_mode):  # some have no end
                    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
                content = os.read(file, found.st_size + 1)
                if stat.S_ISREG(found.st_mode) and len(content) == found.st_size:
                    return content  # another read would find the end
                parts = [content]
                while part := os.read(file, 1 << 20):
                    parts.append(part)
                return b"".join(parts)
            finally:
                os.close(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ESTALE and remaining:
                continue
            error.filename = error.filename or os.fspath(path)
            if error.errno in _NO_FILE:
                raise NotAFileError(error.errno, _NO_FILE[error.errno], error.filename) from None
            raise
    return None  # pragma: no cover


def read_text(path: Path | str) -> str:
    """Return the text of a small file.

    Raises:
        OSError: the file cannot be read, or does not exist.
        ValueError: it is not UTF-8.
    """
    content = read_bytes(path)
    if content is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    return content.decode()


def without_waiting(path: str, flags: int) -> int:
    """Open a file for ``open(…, opener=without_waiting)``, which never waits for a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


#: How often a file is opened before an answer ESTALE counts.
_STALE_TRIES = 4


def read_json(path: str) -> dict[str, Any] | None:
    """Return the JSON object in *path*, or None if the file does not exist.

    Raises:
        OSError: the file exists and cannot be read.
        ValueError: the file is damaged.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        return json_object(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def read_list(path: Path | str) -> list[Any] | None:
    """Return the JSON list in *path*, or None if the file does not exist.

    Raises:
        OSError: the file exists and cannot be read.
        ValueError: the file is damaged.
    """
    content = read_bytes(path)
    if content is None:
        return None
    if not isinstance(found := json_value(content), list):
        raise ValueError(f"{path} is damaged (not a list)")
    return found


#: The errors that building something from damaged data raises.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class TwiceError(ValueError):
    """A text has a key twice in one mapping, so the value of the key is not known."""


#: Decodes a text without spaces at its ends, which is most of them, quicker than `json.loads`.
_DECODER = json.JSONDecoder()


def json_value(content: bytes | str, *, unique: bool = False) -> Any:
    """Return the value of a JSON text.

    In an object with a key twice, the last value counts, except if keys must be *unique*.

    Raises:
        ValueError: *content* is not JSON in UTF-8, or is nested too deeply.
        TwiceError: an object has two different values for one key that must be *unique*.
    """
    hook = _unique if unique else None
    try:
        text = content if isinstance(content, str) else content.decode()
        if hook is None:
            with contextlib.suppress(json.JSONDecodeError):  # whose words are those of `loads`
                found, end = _DECODER.raw_decode(text)
                if end == len(text):
                    return found
        return json.loads(text, object_pairs_hook=hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (UnicodeDecodeError, json.JSONDecodeError, TwiceError):
        raise
    except ValueError:  # the only other one
        raise ValueError("a whole number in it has too many digits") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for name, value in pairs:
            if value != found[name]:
                raise TwiceError(f"it has the key {name[:60]!r} twice, with different values")
    return found


def json_object(content: bytes) -> dict[str, Any]:
    """Return the object of a JSON text.

    Raises:
        ValueError: *content* is no object, or does not fit its seal.
    """
    found = json_value(content)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    if _SEAL in found:
        text, mark, rest = content.rpartition(_SEAL_MARK)
        if not mark or rest != f'{hashlib.sha256(text).hexdigest()}"\n}}'.encode():
            raise ValueError("its content does not fit its seal")
    return found


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file's content, in hex; empty if there is no file.

    Raises:
        OSError: the file exists and cannot be read.
    """
    content = read_bytes(path)
    return "" if content is None else hashlib.sha256(content).hexdigest()


_SEAL = "sha256"
_SEAL_MARK = b',\n "sha256": "'


def sealed(data: Mapping[str, Any]) -> str:
    """Return *data*, which is not empty, as a JSON text with a seal."""
    text = json.dumps(without_seal(data), indent=1, sort_keys=True).removesuffix("\n}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text}{_SEAL_MARK.decode()}{digest}"\n}}'


def has_seal(data: Mapping[str, Any]) -> bool:
    """Return whether the text of *data* had a seal, which then was verified."""
    return _SEAL in data


def without_seal(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return *data* without the seal that its text had."""
    return {name: value for name, value in data.items() if name != _SEAL}


def yaml_value(text: str, *, unique: bool = False) -> Any:
    """Return the value of a YAML text, read by PyYAML's fast parser if it has one.

    In a mapping with a key twice, the last value counts, except if keys must be *unique*.

    Raises:
        ValueError: *text* is no YAML, holds an impossible value, or is nested too deeply.
        TwiceError: a mapping has a key twice that must be *unique*.
    """
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            if unique:
                _require_unique_keys(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except TwiceError:
        raise
    except (yaml.YAMLError, *DAMAGE) as error:
        # PyYAML converts scalars without a check: an empty !!int raises IndexError.
        raise ValueError(" ".join(str(error).split()) or repr(error)) from None


def _require_unique_keys(root: Any) -> None:
    """Check the nodes of a YAML text before a merge adds the keys of other mappings."""
    left, seen = [root], set()
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(children := getattr(node, "value", None), list):
            continue
        seen.add(id(node))
        keys: set[tuple[str, str]] = set()
        for child in children:
            left += child if isinstance(child, tuple) else [child]
            if isinstance(child, tuple) and isinstance(child[0].value, str):
                key = (child[0].tag, child[0].value)
                if key in keys:
                    raise TwiceError(f"it has the key {key[1][:60]!r} twice")
                keys.add(key)


class _Damage:
    """Whether this process repairs damaged state, and which files it has reported."""

    repairs = False
    reported: ClassVar[set[str]] = set()


def repair_damaged_state() -> None:
    """Let this process move damaged state files aside. Commands that only look never do."""
    _Damage.repairs = True


def repairs_damaged_state() -> bool:
    """Whether this process is a start of a run or a job, and not a command that only looks."""
    return _Damage.repairs


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


def home() -> Path:
    """Return the directory of saved configurations, environments and caches.

    The directory is ``$SNAKEVAL_HOME``, by default ``~/.snakeval``.
    """
    return Path(os.environ.get("SNAKEVAL_HOME") or "~/.snakeval").expanduser()


def domain() -> str:
    """Return the name of the scope in which runs share model servers: user, home and Slurm job.

    A Slurm job is a scope of its own, since its servers end with it and no other job has its GPUs.
    """
    return f"{os.getuid()} {home().resolve()} {os.environ.get('SLURM_JOB_ID', '')}"


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


def replace_link(link: Path, target: Path | str) -> None:
    """Make *link* a symbolic link to *target*, in one step for readers and other writers."""
    with replacing(link, _rename) as draft:
        draft.symlink_to(target)


#: The errors of a file system that has no hard links.
_NO_LINKS = frozenset(
    [errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV]
)


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
