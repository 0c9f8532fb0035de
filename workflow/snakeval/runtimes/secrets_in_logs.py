"""Blots out the values of secrets in the log of a container while it runs.

Harnesses print what they sent: lm-evaluation-harness prints the headers of each refused request.
Blotted text keeps its length, so nothing that reads or follows the log loses its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import IO

from snakeval.runtimes.spec import ContainerSpec

#: How often to look at a log, in seconds.
_LOOK_SECONDS = 1.0
#: A shorter value, such as EMPTY or 123, is no secret, and its text may be in any line.
_SHORTEST = 8
_BLOCK = 1 << 20
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
#: A value of another variable that is no path, no URL, no word and no number.
_TOKEN = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.+=-]{16,}")


def secrets_of(*specs: ContainerSpec) -> frozenset[bytes]:
    """Return the values that must not be in a log, of the variables that *specs* hand out."""
    return frozenset(
        value.encode("utf-8", "surrogateescape")
        for spec in specs
        for name, value in spec.secret_values().items()
        if len(value) >= _SHORTEST and _is_secret(name, spec.secrets, value)
    )


def _is_secret(name: str, sources: Mapping[str, str], value: str) -> bool:
    if _SECRET_NAME.search(name) or _SECRET_NAME.search(sources[name]):
        return True
    return _TOKEN.fullmatch(value) is not None


def blot(file: int, values: Collection[bytes], start: int = 0) -> int:
    """Blot out *values* in a file from byte *start*; return where to look next.

    *file* is a descriptor for reading and writing. A value at the end may be incomplete, so the
    next look begins before it.
    """
    if not values:
        return start
    wanted = re.compile(b"|".join(map(re.escape, sorted(values, key=len, reverse=True))))
    overlap = max(map(len, values)) - 1
    while block := os.pread(file, _BLOCK + overlap, start):
        for found in wanted.finditer(block):
            os.pwrite(file, b"*" * len(found[0]), start + found.start())
        if len(block) <= overlap:
            break
        start += len(block) - overlap
    return start


@contextlib.contextmanager
def blotting(
    spec: ContainerSpec, log: IO[bytes], *others: ContainerSpec, every: float = _LOOK_SECONDS
) -> Iterator[None]:
    """Blot out the secrets of *spec* in what its container appends to *log*, also at the end.

    Those of *others* also: an endpoint behind a gateway may repeat the key that the gateway sends.
    """
    values = secrets_of(spec, *others)
    if not values:
        yield
        return
    log.flush()
    file = os.open(log.name, os.O_RDWR)
    place = os.fstat(file).st_size
    ended = threading.Event()

    def look() -> None:
        nonlocal place
        # The last look, in the other thread, raises the error.
        while not ended.wait(every):
            with contextlib.suppress(OSError):
                place = blot(file, values, place)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
        try:
            log.flush()
            blot(file, values, place)
        finally:
            os.close(file)
