"""The suites of the matrix, from the tasks of benchmarks."""

from __future__ import annotations

from snakeval.results.report.matrix import suites


def test_benchmarks_whose_tasks_share_their_first_word_are_a_suite() -> None:
    tasks = {"law": "mmlu_law", "math": "mmlu-math", "mmlu": "mmlu", "gsm8k": "gsm8k"}
    assert suites(tasks) == {"law": "mmlu", "math": "mmlu", "mmlu": "mmlu", "gsm8k": ""}


def test_a_name_of_a_benchmark_makes_no_suite() -> None:
    assert suites({"old_a": "gsm8k", "old_b": "ifeval"}) == {"old_a": "", "old_b": ""}
