"""A journal that stores nothing (``ledger: memory``)."""

from __future__ import annotations

from snakeval.ledger.records import Answer


class Memory:
    """Answers that no harness received yet; nothing is on disk (``ledger: memory``)."""

    #: How many answers earlier processes stored.
    kept = 0

    def __init__(self) -> None:
        self._answers: dict[tuple[bytes, int], Answer] = {}

    def find(self, key: bytes, occurrence: int) -> Answer | None:
        """Return an answer, or None."""
        return self._answers.get((key, occurrence))

    def is_free(self, key: bytes, occurrence: int) -> bool:
        """Return False: no answer is of another run."""
        return False

    def latest(self, key: bytes) -> Answer | None:
        """Return None: an answer of which only the latest counts is never asked for twice."""
        return None

    def refusal(self, key: bytes) -> Answer | None:
        """Return None: no refusal is held."""
        return None

    async def append_refusal(self, key: bytes, answer: Answer) -> None:
        """Hold nothing."""

    async def append(self, key: bytes, occurrence: int, answer: Answer) -> None:
        """Hold an answer until the harness receives it."""
        self._answers[key, occurrence] = answer

    async def append_latest(self, key: bytes, answer: Answer) -> None:
        """Hold nothing."""

    def release(self, key: bytes, occurrence: int) -> None:
        """Forget an answer that the harness received."""
        self._answers.pop((key, occurrence), None)

    def close(self) -> None:
        """Forget all answers."""
        self._answers.clear()
