"""A file system without symbolic links, as some cluster and container mounts are."""

from __future__ import annotations

import errno
import os

import pytest


def refuse_symlinks(patch: pytest.MonkeyPatch, number: int = errno.EPERM) -> None:
    """Let each symbolic link fail with the error *number*."""

    def refused(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(os, "symlink", refused)
