"""Ends the work of this process at a chosen change of the file system, as SIGKILL would."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

#: The functions that change names. Writing to a draft is not seen by other processes.
CHANGES = ("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "link", "symlink")


class Killed(BaseException):
    """The end of the process."""


@contextmanager
def killed_before(change: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Raise `Killed` instead of a change and of all later ones; yield how many there were.

    Code that tidies up after an exception finds that a killed process changes nothing more.
    """
    count = [0]

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] > change:
                raise Killed
            return real(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, guarded(getattr(os, name)))
        yield count


def kills(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, change: int) -> bool:
    """Do *work* and kill it before a change; return whether it was killed."""
    with killed_before(change, monkeypatch):
        try:
            work()
        except Killed:
            return True
    return False
