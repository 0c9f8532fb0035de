"""Reads a job's receipt: its exit code, its time, and the size and checksum of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"exit=(\d+) seconds=(-?\d+) size=(\d+) sha256=([0-9a-f]{64}|-)(?: left=(\d+))?")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A job's last message, which it writes after everything else has arrived."""

    exit: int
    seconds: int
    size: int  #: bytes of the archive, 0 if there was no file to send
    sha256: str
    left: int = 0  #: how many files stayed in the job, because the transport has no room for them

    @classmethod
    def parse(cls, text: str) -> Receipt | None:
        """Read a receipt, or return None if *text* is not a receipt."""
        found = _FORM.search(text)
        if not found:
            return None
        code, seconds, size, digest, left = found.groups()
        return cls(int(code), int(seconds), int(size), digest, int(left or 0))
