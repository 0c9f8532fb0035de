"""Reasoning in tags is no answer, and the words for the end of a text are one of a few kinds."""

from __future__ import annotations

import time

import pytest

from snakeval.ledger.endings import died, is_cut, is_filtered, is_known, without_reasoning


@pytest.mark.parametrize(
    ("text", "answer", "thinks"),
    [
        ("4", "4", False),
        ("", "", False),
        ("<think>2 + 2</think>4", "4", True),
        ("\n<think>2 + 2</think>\n", "\n\n", True),
        ("<think>2 + 2", "", True),
        ("<think>", "", False),
        ("2 + 2</think>4", "4", True),
        ("2 + 2</THINK>", "", True),
        ("<think>a</think><think>b</think>", "", True),
        ("<think>a <think> b</think>4", "4", True),
        ("<think></think>", "", False),
        ("<reasoning>a</reasoning><answer>4</answer>", "<answer>4</answer>", True),
        ("<answer>4</answer><reasoning>a</reasoning>", "<answer>4</answer>", True),
        ("A list [1] and a < b", "A list [1] and a < b", False),
        ("[THINK]a[/THINK]4", "4", True),
        ("◁think▷a◁/think▷", "", True),
        ("<seed:think>a</seed:think>4", "4", True),
        ("<|channel|>analysis<|message|>a", "", True),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>4", "4", True),
    ],
)
def test_reasoning_in_tags_is_no_answer(text: str, answer: str, thinks: bool) -> None:
    assert without_reasoning(text) == (answer, thinks)


def test_a_hostile_text_costs_no_more_than_its_length() -> None:
    began = time.process_time()
    without_reasoning("<think>" * 50_000 + "</think" * 50_000)
    assert time.process_time() - began < 2


def test_each_word_has_at_most_one_meaning() -> None:
    for word in ("length", "MAX_TOKENS", "model_context_window_exceeded"):
        assert (is_cut(word), is_filtered(word), died(word), is_known(word)) == (1, 0, 0, 1)
    for word in ("content_filter", "SAFETY"):
        assert (is_cut(word), is_filtered(word), died(word), is_known(word)) == (0, 1, 0, 1)
    for word in ("abort", "error", "insufficient_system_resource"):
        assert (is_cut(word), is_filtered(word), died(word), is_known(word)) == (0, 0, 1, 0)
    for word in ("stop", "eos_token", "tool_calls", "end_turn"):
        assert (is_cut(word), is_filtered(word), died(word), is_known(word)) == (0, 0, 0, 1)
    assert not is_known("")
    assert not is_known("other")
