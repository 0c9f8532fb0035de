"""The Docker engine of the test bed, which one test restarts while others may need it."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = Path(tempfile.gettempdir()) / "snakeval-testbed-engine.lock"


@contextlib.contextmanager
def engine(*, alone: bool = False) -> Iterator[None]:
    """Keep the engine as it is; *alone*: do with it what one wants. Two may run the tests."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
