"""Waits for changes in folders: by inotify if their file systems report events, else by looks.

Linux reports no event of another machine on a network file system. Folders there, and folders that
the kernel has no watch for, are looked at every few seconds. Other folders are looked at now and
then, since an event can be lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from typing import Any

import psutil

#: Seconds between two looks at folders without events, and at folders with events.
LOOK_SECONDS, SAFETY_SECONDS = 3.0, 30.0
#: File systems on which the kernel of this machine sees each change.
_LOCAL = (
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs",
    "tmpfs", "xfs", "zfs",
)  # fmt: skip


class Watch:
    """The folders that a follower watches.

    Attributes:
        has_events: whether each folder reports its changes.
    """

    def __init__(
        self,
        *,
        events: bool = True,
        file_system: Callable[[str], str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._notifier = _notifier() if events else None
        self._file_system = file_system or file_system_of
        self._sleep = sleep
        self._watched: dict[str, int] = {}
        self.has_events = False

    @property
    def look_seconds(self) -> float:
        """The longest time between two looks."""
        return SAFETY_SECONDS if self.has_events else LOOK_SECONDS

    def follow(self, folders: Collection[str]) -> bool:
        """Watch *folders*, which exist, and no others; return whether one is new."""
        for folder in self._watched.keys() - {*folders}:
            self._drop(self._watched.pop(folder))
        new = [folder for folder in folders if folder not in self._watched]
        for folder in new:
            self._watched[folder] = self._add(folder)
        self.has_events = bool(self._watched) and min(self._watched.values()) >= 0
        return bool(new)

    def wait(self, seconds: float) -> bool:
        """Wait until something changes, at most *seconds*; return whether it did."""
        if self._notifier is None or not self._watched:
            self._sleep(seconds)
            return False
        from inotify_simple import flags

        events = list(self._notifier.read(timeout=max(0, int(seconds * 1000)), read_delay=20))
        gone = {event.wd for event in events if event.mask & flags.IGNORED}
        if gone:
            # A folder of the same name may come back; it is watched again then.
            self._watched = {f: w for f, w in self._watched.items() if w not in gone}
        return bool(events)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notifier is not None:
            self._notifier.close()

    def _add(self, folder: str) -> int:
        """Watch a folder; return the number of its watch, or -1 if it reports no events."""
        if self._notifier is None or self._file_system(folder) not in _LOCAL:
            return -1
        from inotify_simple import flags

        changes = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE
        itself = flags.CLOSE_WRITE | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        try:
            return int(self._notifier.add_watch(folder, changes | itself))
        except OSError:  # it was deleted, or this user has no watch left
            return -1

    def _drop(self, watch: int) -> None:
        if self._notifier is not None and watch >= 0:
            try:
                self._notifier.rm_watch(watch)
            except OSError:
                return  # the kernel dropped it with its folder


def _notifier() -> Any:
    """Return a notifier of Linux; None on other systems."""
    try:
        from inotify_simple import INotify

        return INotify()
    except (ImportError, OSError, AttributeError):
        return None


def file_system_of(folder: str) -> str:
    """Return the name of the file system that a folder is on; empty if it is not known."""
    place = os.path.realpath(folder)
    found, longest = "", -1
    for each in psutil.disk_partitions(all=True):
        mount = each.mountpoint.rstrip("/")
        if (place == mount or place.startswith(f"{mount}/")) and len(mount) >= longest:
            found, longest = each.fstype, len(mount)
    return found
