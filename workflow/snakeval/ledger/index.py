"""The places of a journal's answers, by key and occurrence."""

from __future__ import annotations

from collections.abc import Iterator


class Index:
    """The places of answers by key and occurrence.

    Almost all keys occur once, so a place is an int, and a dict only for keys with more: a million
    dicts would take 230 MB.
    """

    def __init__(self) -> None:
        self._places: dict[bytes, int | dict[int, int]] = {}

    def put(self, key: bytes, occurrence: int, place: int) -> bool:
        """Add a place, or replace it; return whether it is new."""
        found = self._places.get(key)
        if found is None:
            self._places[key] = place if occurrence == 0 else {occurrence: place}
            return True
        if isinstance(found, int):
            if occurrence == 0:
                self._places[key] = place
                return False
            found = self._places[key] = {0: found}
        new = occurrence not in found
        found[occurrence] = place
        return new

    def drop(self, key: bytes, occurrence: int) -> bool:
        """Remove a place; return whether it was there."""
        found = self._places.get(key)
        if isinstance(found, dict):
            return found.pop(occurrence, None) is not None
        if found is None or occurrence:
            return False
        del self._places[key]
        return True

    def get(self, key: bytes, occurrence: int) -> int | None:
        """Return the place of an answer, or None."""
        found = self._places.get(key)
        if isinstance(found, dict):
            return found.get(occurrence)
        return found if occurrence == 0 else None

    def count(self, key: bytes) -> int:
        """Return how many answers a key has."""
        found = self._places.get(key)
        return 0 if found is None else 1 if isinstance(found, int) else len(found)

    def items(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield key, occurrence and place of all answers; occurrences ascend."""
        for key, found in self._places.items():
            if isinstance(found, int):
                yield key, 0, found
            else:
                for occurrence in sorted(found):
                    yield key, occurrence, found[occurrence]
