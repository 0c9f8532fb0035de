"""Lists and removes the Python environments of harnesses without a container."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snakeval.files import home, led_to
from snakeval.lease import HEARTBEAT_SECONDS, Lease
from snakeval.runtimes.environments import used_environments


@dataclass(frozen=True, slots=True)
class Build:
    """One build of an environment, or what a killed one has left.

    Attributes:
        path: its directory.
        is_current: whether the next harness uses it.
        is_used: whether a process of this machine runs from it.
        modified: when it was built.
    """

    path: Path
    is_current: bool
    is_used: bool
    modified: datetime

    @property
    def environment(self) -> str:
        """The name of its set of requirements."""
        return self.path.parent.name


def builds() -> Iterator[Build]:
    """Yield all builds, in the order of their names."""
    used = set(used_environments())
    for place in sorted((home().absolute() / "envs").glob("*")):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                with suppress(FileNotFoundError):  # another process has removed it
                    modified = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
                    yield Build(path, _is_current(path), str(path) in used, modified)


def _is_current(path: Path) -> bool:
    target = led_to(path.parent / "current")
    return target is not None and target.name == path.name


def remove(build: Build, *, also_current: bool, heartbeat: float = HEARTBEAT_SECONDS) -> bool:
    """Remove a build; return whether it was removed.

    A build stays if another process builds or removes this environment now, if a process of this
    machine runs from it, or if it is the current one and not *also_current*.
    """
    met: list[str] = []
    lease = Lease(
        build.path.parent / "lease",
        done=lambda: bool(met),
        waiting=met.append,
        heartbeat=heartbeat,
    )
    with lease:
        is_current = _is_current(build.path)
        if not lease.acquired or (is_current and not also_current):
            return False
        if str(build.path) in set(used_environments()):
            return False
        if is_current:  # first, so that no harness starts from what is left
            (build.path.parent / "current").unlink(missing_ok=True)
        shutil.rmtree(build.path)
    return True


def size(place: Path) -> int:
    """Return the bytes that the files below *place* take; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with suppress(FileNotFoundError):
                found = (Path(folder) / name).lstat()
                if (key := (found.st_dev, found.st_ino)) not in seen:
                    seen.add(key)
                    total += found.st_blocks * 512
    return total
