"""Groups the benchmarks of the matrix in suites, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import takewhile


def suites(benchmarks: Iterable[str]) -> dict[str, str]:
    """Return the suite of each benchmark: the first word of its name, if several share it.

    >>> suites(["mmlu_law", "mmlu_math", "gsm8k"])
    {'mmlu_law': 'mmlu', 'mmlu_math': 'mmlu', 'gsm8k': ''}
    """
    words = {name: "".join(takewhile(str.isalnum, name)) for name in benchmarks}
    shared = Counter(words.values())
    return {name: word if shared[word] > 1 else "" for name, word in words.items()}
