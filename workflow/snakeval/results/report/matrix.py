"""Groups the benchmarks of the matrix in suites, by the tasks of their harnesses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import takewhile


def suites(tasks: Mapping[str, str]) -> dict[str, str]:
    """Return the suite of each benchmark: the first word of its task, if several tasks share it.

    A benchmark may have any name. The harness gives the parts of a suite one first word. *tasks*
    has the task of each benchmark.

    >>> suites({"law": "mmlu_law", "math": "mmlu_math", "gsm8k": "gsm8k"})
    {'law': 'mmlu', 'math': 'mmlu', 'gsm8k': ''}
    """
    words = {name: "".join(takewhile(str.isalnum, task)) for name, task in tasks.items()}
    shared = Counter(words.values())
    return {name: word if shared[word] > 1 else "" for name, word in words.items()}
