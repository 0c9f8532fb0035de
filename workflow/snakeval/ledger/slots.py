"""Which of several equal requests receives which answer.

The k-th equal request has slot k. A request takes a slot when it arrives, not when it is answered:
the fastest of several answers is often the shortest, and would become the first sample. A request
that did not receive its whole answer gives its slot back, and the next equal request takes it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable
from typing import Any

from snakeval.ledger import http
from snakeval.ledger.http import Headers

#: Bodies with images above so many bytes are stored as their hash only.
LARGE_BODY = 1 << 16
_IMAGE = b";base64,"


class Slots:
    """The slots of all keys of one upstream, counted from 0."""

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}
        self._free: dict[bytes, list[int]] = {}

    def take(self, key: bytes) -> tuple[int, bool]:
        """Return the lowest free slot of a key, and whether it was taken before."""
        free = self._free.get(key)
        if free:
            slot = heapq.heappop(free)
            if not free:
                del self._free[key]
            return slot, True
        slot = self._next.get(key, 0)
        self._next[key] = slot + 1
        return slot, False

    def number(self, key: bytes) -> int:
        """Return how many slots of a key were taken."""
        return self._next.get(key, 0)

    def taken(self) -> Iterable[tuple[bytes, int]]:
        """Return all keys with the number of their slots that were taken."""
        return self._next.items()

    def give_back(self, key: bytes, slot: int) -> None:
        """Free a slot whose answer did not arrive."""
        heapq.heappush(self._free.setdefault(key, []), slot)


def key_of(method: str, target: str, body: bytes, headers: Headers = ()) -> bytes:  # type: ignore[assignment]
    """Return the key of a request: 16 bytes of SHA-256 over method, target and canonical body."""
    parts = (
        method.encode("latin-1", "replace"),
        target.encode("latin-1", "replace"),
        canonical(body, http.value(headers, "content-type")),
    )
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()[:16]


def canonical(body: bytes, content_type: str = "") -> bytes:
    """Return *body* in the form in which equal requests are equal.

    JSON has sorted keys and no blanks (numbers stay as written: 1.0 is not 1). A multipart body is
    without its random boundary (RFC 2046, 5.1.1). Other bodies do not change.
    """
    if content_type.lower().startswith("multipart/"):
        boundary = _boundary(content_type).encode("latin-1", "replace")
        return body.replace(boundary, b"boundary") if boundary else body
    try:
        data = json.loads(body)
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def _boundary(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, text = part.partition("=")
        if name.strip().lower() == "boundary":
            return text.strip().strip('"')
    return ""


def seed_of(data: dict[str, Any], slot: int) -> int:
    """Return the seed with which a slot's request is sent, or -1 if the seed does not change.

    Equal requests with one seed would receive equal answers. A missing temperature counts as not 0,
    because endpoints then use a default.
    """
    seed = data.get("seed")
    if slot == 0 or isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        return -1
    temperature = data.get("temperature")
    fixed = isinstance(temperature, (int, float)) and temperature == 0
    return -1 if fixed else seed + slot


def stored_request(body: bytes) -> tuple[bytes, str]:
    """Return what the journal stores of a request: its body, or for images only its SHA-256."""
    if len(body) > LARGE_BODY and _IMAGE in body:
        return b"", hashlib.sha256(body).hexdigest()
    return body, ""
