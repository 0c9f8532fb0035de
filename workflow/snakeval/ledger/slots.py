"""Which of several equal requests gets which answer.

The k-th equal request has slot k. A request takes a slot when it arrives, not when it is answered:
the fastest of several answers is often the shortest, and would become the first sample. A request
that did not receive its whole answer gives its slot back, and the next equal request takes it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from typing import Any

#: Bodies above so many bytes are kept as their hash only, if they hold images.
LARGE_BODY = 1 << 16


class Slots:
    """The slots of all keys of one upstream, counted from 0."""

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}
        self._free: dict[bytes, list[int]] = {}

    def take(self, key: bytes) -> int:
        """Return the lowest free slot of *key*."""
        free = self._free.get(key)
        if free:
            slot = heapq.heappop(free)
            if not free:
                del self._free[key]
            return slot
        slot = self._next.get(key, 0)
        self._next[key] = slot + 1
        return slot

    def give_back(self, key: bytes, slot: int) -> None:
        """Free a slot whose answer did not arrive."""
        heapq.heappush(self._free.setdefault(key, []), slot)

    def taken(self, key: bytes) -> int:
        """Return how many slots of *key* are taken at present."""
        return self._next.get(key, 0) - len(self._free.get(key, ()))


def canonical(body: bytes, content_type: str) -> bytes:
    """Return *body* in the form in which equal requests are equal.

    JSON has sorted keys and no blanks. In multipart bodies the random boundary is replaced. Other
    bodies stay as they are.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        boundary = _parameter(content_type, "boundary")
        return body.replace(boundary.encode(), b"boundary") if boundary else body
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")


def key_of(method: str, path: str, body: bytes, content_type: str = "") -> bytes:
    """Return the key of a request: 16 bytes of SHA-256 over method, path and canonical body."""
    parts = (
        method.encode(),
        path.encode("utf-8", "surrogateescape"),
        canonical(body, content_type),
    )
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()[:16]


def seeded(data: dict[str, Any], slot: int) -> dict[str, Any]:
    """Return the request that is sent for *slot*: equal sampled requests have different seeds.

    Applies to a request with a seed and a temperature that is not 0. A missing temperature counts
    as not 0, since endpoints then use their own.
    """
    seed = data.get("seed")
    if not slot or not isinstance(seed, int) or isinstance(seed, bool):
        return data
    return data if data.get("temperature") == 0 else {**data, "seed": seed + slot}


def _parameter(header: str, name: str) -> str:
    for part in header.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return ""
