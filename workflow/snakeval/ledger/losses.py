"""The requests that a harness received no sound answer to, by cause.

A request that is repeated until it has its answer is healed and does not count. The gateway sees
only that an equal request came later, which may also be the next sample of the same question. At
the end it compares: a question that lost an answer and has fewer samples than most questions that
lost none lost a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from snakeval.ledger import answers
from snakeval.ledger.outcome import Outcome

#: The causes, named as the rules of health.
GIVEN_UP, ERROR, TRUNCATED, HTML, REFUSED = "given_up", "error", "truncated", "html", "refused"
CAUSES = (GIVEN_UP, ERROR, TRUNCATED, HTML, REFUSED)

_Place = tuple[bytes, int]


def cause_of(outcome: Outcome | None) -> str:
    """Return why a harness did not receive a sound answer; None means that it hung up."""
    if outcome is None or outcome.verdict == answers.SOUND:
        return GIVEN_UP
    if outcome.verdict in (answers.ERROR, answers.MALFORMED):
        return ERROR
    if outcome.cut:
        return TRUNCATED
    if outcome.verdict != answers.PASSED:
        return GIVEN_UP
    if outcome.status in answers.REFUSALS:
        return REFUSED
    return _of_200(outcome) if 200 <= outcome.status < 300 else GIVEN_UP


def _of_200(outcome: Outcome) -> str:
    """Return what is wrong with a whole answer of status 200."""
    kind = answers.media_type(outcome.headers)
    if kind == "text/event-stream":
        return TRUNCATED
    plain = answers.decoded(outcome.headers, outcome.body)
    if plain is None or not plain:
        return TRUNCATED
    if isinstance(answers.parsed(plain), dict):
        return ERROR  # it has no choices
    is_page = plain[:512].lstrip()[:1] == b"<" or kind == "text/html"
    return HTML if is_page else TRUNCATED


class Losses:
    """The requests of one gateway process without a sound answer."""

    def __init__(self) -> None:
        #: All that once left the harness without a sound answer.
        self.once: set[_Place] = set()
        self._open: dict[_Place, str] = {}
        self._healed: dict[_Place, str] = {}
        self._short: Counter[str] = Counter()

    def lose(self, key: bytes, slot: int, cause: str = "") -> None:
        """Note that a request left the harness without a sound answer.

        Without a *cause* it is none of the evaluation's questions.
        """
        self.once.add((key, slot))
        if cause:
            self._open[key, slot] = cause

    def answer(self, key: bytes, slot: int) -> None:
        """Note that a request has its answer."""
        cause = self._open.pop((key, slot), None)
        if cause is not None:
            self._healed[key, slot] = cause

    def settle(self, samples: Iterable[tuple[bytes, int]]) -> None:
        """Compare healed questions with the others: *samples* are all keys and their numbers."""
        if not self._healed:
            return
        numbers = dict(samples)
        lost = {key for key, _ in self._healed}
        whole = Counter(number for key, number in numbers.items() if key not in lost)
        # If all lost an answer, nothing distinguishes a missing sample from a repeated one.
        usual, _ = next(iter((whole or Counter(numbers.values())).most_common(1)), (0, 0))
        self._short = Counter()
        for (key, _), cause in self._healed.items():
            self._short[cause] += numbers.get(key, usual) < usual

    def data(self) -> dict[str, int]:
        """Return how many requests lack an answer, by cause."""
        found = Counter(self._open.values()) + self._short
        return {cause: found[cause] for cause in CAUSES if found[cause]}
