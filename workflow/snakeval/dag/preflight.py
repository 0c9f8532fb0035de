"""Checks before anything runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: A run writes at least its plan and its logs; less free space than this is as good as none.
_MIN_FREE_BYTES = 20 * 1024 * 1024


def why_no_room(directory: Path) -> str:
    """Say why nothing can be written below *directory*, without writing."""
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is a file; name a directory"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} cannot be written; name another directory or correct its permissions"
    free = shutil.disk_usage(existing).free
    if free < _MIN_FREE_BYTES:
        return f"no space left at {existing} ({free // 1024} KiB free); free some"
    return ""
