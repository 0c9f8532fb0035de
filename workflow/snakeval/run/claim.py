"""Claims of a new run: two commands that start at the same time start one run.

A command plans before it starts its run, and the paths of the plan hold the run's name. The first
of several equal commands claims the name when it plans, in a file beside the runs:
``<output_dir>/.starting-<key>.json``. The others take the name from there. The file is gone as soon
as the run's directory says which configuration it belongs to.

A copy of a configuration has another key, and joins a run that has started. Of two such commands
that start at the same time, the later one gives way: it waits for the start of the earlier one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from snakeval.errors import ConfigError
from snakeval.files import DAMAGE, create_exclusively, read_json, read_text
from snakeval.ledger.start_time import start_time
from snakeval.processes import process_lives
from snakeval.run.directory import RunDirectory

#: After this many seconds, a claim counts only if its process lives.
_STALE_SECONDS = 3600.0
#: How long an empty claim may be written, on a file system without hard links, in seconds.
_WRITING_SECONDS = 2.0
#: How long a command gives way to an earlier one that plans, in seconds, and how often it looks.
_PLANNING_SECONDS = 120.0
_LOOK_SECONDS = 0.2


def claim(
    root: Path,
    key: str,
    name: str,
    started: Callable[[], str | None],
    *,
    joins: str = "",
    lasting: bool = False,
    wait: float = _WRITING_SECONDS,
) -> str:
    """Claim *name* for the new run of *key* in *root*; return the run's name, perhaps another's.

    Commands that may join each other's run have the same *joins*. *started* returns the name of the
    run if another command has started it by now. A *lasting* claim stays after the end of this
    process, for a job that starts the run later. A claim without a name counts as damaged after
    *wait* seconds.

    Raises:
        ConfigError: *root* cannot be written.
    """
    path = _path(root, key)
    text = json.dumps({"name": name, "joins": joins, **({} if lasting else _me())})
    until = time.monotonic() + wait
    while True:
        try:
            is_mine = create_exclusively(path, text)
        except OSError as error:
            raise ConfigError(
                f"output_dir: {str(root)[:200]} cannot be written ({error.strerror}); name another "
                "directory or correct its permissions"
            ) from None
        if is_mine:
            # It may have started since this command looked.
            if found := started():
                path.unlink(missing_ok=True)
                return found
            if not lasting:
                atexit.register(_withdraw, path, text)
            return name
        other = claimed(root, key)
        # A run that has started counts: the claim may be of a command that withdraws it.
        if other is not None and (found := started()):
            return found
        if other is None and time.monotonic() < until:
            time.sleep(0.05)  # it is released now, or written
        elif other is None or _is_stale(path):
            _discard(path)
        else:
            return other


def claimed(root: Path, key: str) -> str | None:
    """Return the name of the run that a command starts now, if one does."""
    with contextlib.suppress(OSError, *DAMAGE):
        name = (read_json(str(_path(root, key))) or {})["name"]
        if isinstance(name, str) and RunDirectory.id_of(name):
            return name
    return None


def release(root: Path, key: str, name: str) -> None:
    """Remove the claim of the run *name*, which has started; a damaged one is no other run's."""
    if claimed(root, key) in (None, name):
        _path(root, key).unlink(missing_ok=True)


def gives_way(
    root: Path,
    key: str,
    joins: str,
    *,
    started: Callable[[], bool] = lambda: False,
    look: float = _LOOK_SECONDS,
) -> bool:
    """Withdraw this process's claim of *key* if a claim with the same *joins* is earlier.

    Return whether it did. The other command has started its run by then, or has ended. Another one
    may have started its run before this claim, and after the search for runs: *started* says so.
    """
    own = _path(root, key)
    try:
        # The time at which it got its name. Of two claims, the later one therefore sees the other.
        mine = own.stat().st_ctime_ns
        if not _is_mine(own):
            return False
        rivals = [path for path in root.glob(".starting-*.json") if path != own]
        rivals = [path for path in rivals if _is_rival(path, joins) and _time(path) <= mine]
    except (OSError, *DAMAGE):
        return False
    if not rivals and not started():  # in this order: a start ends its claim last
        return False
    own.unlink(missing_ok=True)
    if not rivals:
        return True
    print("snakeval: waits for a command that starts a run here", file=sys.stderr, flush=True)
    while any(_is_rival(path, joins) for path in rivals):
        time.sleep(look)
    # Two claims of the same time give way to each other. One of them then comes first.
    time.sleep(random.random() * look)
    return True


def _time(path: Path) -> float:
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return float("inf")  # released now


def _is_mine(path: Path) -> bool:
    claimed = read_json(str(path)) or {}
    return {name: claimed.get(name) for name in _me()} == _me()


def _is_rival(path: Path, joins: str) -> bool:
    """Whether a command of another process, which still plans, has claimed a run that one joins."""
    try:
        claimed = read_json(str(path)) or {}
        pid, here = claimed.get("pid"), claimed.get("host") == socket.gethostname()
        if not pid or claimed.get("joins") != joins or (here and pid == os.getpid()):
            return False
        is_new = time.time() - path.stat().st_mtime < _PLANNING_SECONDS
        return is_new and not (here and not process_lives(pid, claimed.get("start") or ""))
    except (OSError, *DAMAGE):
        return False


def _path(root: Path, key: str) -> Path:
    return root / f".starting-{key}.json"


def _me() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "start": start_time(os.getpid())}


def _is_stale(path: Path) -> bool:
    """Whether the claim is old, and its process has ended without starting the run."""
    try:
        if time.time() - path.stat().st_mtime < _STALE_SECONDS:
            return False
        owner = read_json(str(path)) or {}
        here = owner.get("host") == socket.gethostname()
        return bool(here and not process_lives(owner["pid"], owner.get("start") or ""))
    except (OSError, *DAMAGE):
        return False


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be replaced ({error.strerror}); remove it") from None


def _withdraw(path: Path, text: str) -> None:
    """Remove a claim whose command ends without a start, and an output directory made for it."""
    with contextlib.suppress(OSError, ValueError):
        if read_text(path) == text:
            path.unlink()
            path.parent.rmdir()
