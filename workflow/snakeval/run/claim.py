"""Claims of a new run: of the commands that may share a run, one starts it.

A command searches for its run and plans before it starts one. One file decides which of several
commands starts: ``<output_dir>/.starting-<identity>.json``, a lease with these rules.

1. Only the holder of the claim starts a run, and commands with the same configuration, which share
   the run. Others wait for the end of the claim, and then search again.
2. The holder writes the run's name into the claim after it has looked for runs that started since
   its search. If there are some, it ends the claim and searches again.
3. The claim ends when the run's directory shows to which configurations the run belongs.

A promise, ``<output_dir>/.starting-<key or name>.json``, keeps a name for another process that
starts the run: the Snakemake of ``run=new``, or a job that waits in a queue.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakeval.errors import ConfigError
from snakeval.files import DAMAGE, create_exclusively, json_value, read_bytes, read_json
from snakeval.lease import Holder, Lease, LeaseLost
from snakeval.run.directory import RunDirectory

#: The claims of this process, each with the key of its configuration.
_held: dict[Path, tuple[str, Lease]] = {}


def claim(
    root: Path, identity: str, key: str, name: str, is_current: Callable[[], bool]
) -> str | None:
    """Claim the start of the run *name* in *root*; return the name of the run to start.

    It is another name if a command with the same *key* has the claim. It is None if the command has
    to search for its run again: another one has started a run, or *is_current* says that the search
    is out of date.

    Raises:
        ConfigError: *root* cannot be written.
    """
    path = _path(root, identity)
    if path in _held and _held[path][0] != key:
        withdraw(root, identity)
    awaited: list[str] = []

    def is_over() -> bool:
        if awaited and _read(path).get("id") != awaited[0]:
            return True  # the other command has started its run, or has ended
        return claimed(root, identity, key) is not None

    def wait(holder: str) -> None:
        if (other := _read(path)).get("key") != key:
            awaited.extend(filter(None, [other.get("id")]))
            print(f"snakeval: waits for {holder}, which starts a run here", file=sys.stderr)

    lease = Lease(path, done=is_over, waiting=wait, note={"key": key})
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(lease)
            if not lease.acquired:
                return claimed(root, identity, key)
            if not is_current():
                return None
            lease.tell(name=name)
            stack.pop_all()
    except OSError as error:
        raise _unwritable(root, error) from None
    except LeaseLost:
        return None
    _held[path] = key, lease
    atexit.register(_withdraw, path)
    return name


def claimed(root: Path, identity: str, key: str) -> str | None:
    """Return the name of the run that a command with the same *key* starts now, if one does."""
    with contextlib.suppress(OSError, *DAMAGE):
        content = read_bytes(_path(root, identity)) or b""
        found = json_value(content)
        if found["key"] == key and Holder.read(content).lives is not False:
            return _name(found)
    return None


def promise(root: Path, key: str, name: str, *, lasting: bool) -> None:
    """Promise the run *name* to the processes that look for it by *key*.

    The promise ends with this process unless it is *lasting*.

    Raises:
        ConfigError: *root* cannot be written.
    """
    path = _path(root, key)
    try:
        is_mine = create_exclusively(path, json.dumps({"name": name}))
    except OSError as error:
        raise _unwritable(root, error) from None
    if is_mine and not lasting:
        atexit.register(_forget, path, name)


def promised(root: Path, key: str) -> str | None:
    """Return the name of the run that another process will start for *key*, if there is one."""
    found = _read(_path(root, key))
    return None if "pid" in found else _name(found)


def release(root: Path, identity: str, keys: tuple[str, ...], name: str) -> None:
    """End the claim of the run *name*, which has started, and the promises of it for *keys*."""
    for key in keys:
        if promised(root, key) == name:
            _path(root, key).unlink(missing_ok=True)
    path = _path(root, identity)
    if _read(path).get("name") == name:
        withdraw(root, identity)
        path.unlink(missing_ok=True)  # perhaps of another process, which starts the same run


def withdraw(root: Path, identity: str) -> None:
    """End the claim of this process, if it has one."""
    _end(_path(root, identity))


def _end(path: Path) -> bool:
    if path not in _held:
        return False
    _, lease = _held.pop(path)
    lease.__exit__(None, None, None)
    return True


def _withdraw(path: Path) -> None:
    """End a claim whose command ends without a start, and the output directory made for it."""
    if _end(path):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _forget(path: Path, name: str) -> None:
    """End a promise whose command ends without a start, and the output directory made for it."""
    with contextlib.suppress(OSError):
        if _name(_read(path)) == name:
            path.unlink()
            path.parent.rmdir()


def _unwritable(root: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"output_dir: {str(root)[:200]} cannot be written ({error.strerror}); name another "
        "directory or correct its permissions"
    )


def _path(root: Path, key: str) -> Path:
    return root / f".starting-{key}.json"


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, *DAMAGE):
        return read_json(str(path)) or {}
    return {}


def _name(found: dict[str, Any]) -> str | None:
    name = found.get("name")
    return name if isinstance(name, str) and RunDirectory.id_of(name) else None
