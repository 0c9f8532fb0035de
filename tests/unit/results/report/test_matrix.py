"""The suites of the matrix, from the names of benchmarks."""

from __future__ import annotations

from snakeval.results.report.matrix import suites


def test_benchmarks_that_share_their_first_word_are_a_suite() -> None:
    names = ["mmlu_law", "mmlu-math", "mmlu", "gsm8k", "bbh.snarks"]
    assert suites(names) == {
        "mmlu_law": "mmlu",
        "mmlu-math": "mmlu",
        "mmlu": "mmlu",
        "gsm8k": "",
        "bbh.snarks": "",
    }
