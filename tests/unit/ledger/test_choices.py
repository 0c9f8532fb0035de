"""The texts of an answer, in each form that endpoints give it."""

from __future__ import annotations

from typing import Any

import pytest

from snakeval.ledger.asked import Asked
from snakeval.ledger.choices import EMPTY, REASONING_ONLY, Choice, choices_of
from support.journals import said


def test_the_chunks_of_a_stream_are_one_choice_for_each_index() -> None:
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}}]}
        for index, text in ((0, "a"), (1, "c"), (0, "b"))
    ]
    chunks.append({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]})
    found = list(choices_of(chunks))
    assert [(each.text, each.finish) for each in found] == [("ab", ""), ("c", "length")]
    assert not any(each.is_odd for each in found)


def test_parts_of_a_content_are_one_odd_text() -> None:
    (found,) = choices_of([said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])])
    assert (found.text, found.is_odd) == ("ab", True)


def one(message: dict[str, Any], **more: Any) -> Choice:
    (found,) = choices_of([{"choices": [{"index": 0, "message": message, **more}]}])
    return found


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "lack"),
    [
        ({"content": "4"}, ""),
        ({"content": None}, EMPTY),
        ({}, EMPTY),
        ({"content": [], "reasoning": None, "reasoning_content": ""}, EMPTY),
        ({"content": "", "reasoning": "Let me"}, REASONING_ONLY),
        ({"content": "", "reasoning_details": [{"type": "reasoning.text"}]}, EMPTY),
        ({"content": "", "reasoning_details": [{"text": "Let me"}]}, REASONING_ONLY),
        ({"content": "", "thinking_blocks": [{"thinking": "Let me"}]}, REASONING_ONLY),
        ({"content": "<think>Let me"}, REASONING_ONLY),
        ({"content": "<think>Let me</think>\n"}, REASONING_ONLY),
        ({"content": "Let me</think>"}, REASONING_ONLY),
        ({"content": "<think>\n\n</think>\n\n"}, EMPTY),
        ({"content": "<think>Let me</think>4"}, ""),
        ({"content": "[THINK]Let me[/THINK]"}, REASONING_ONLY),
        ({"content": [{"type": "thinking", "thinking": [{"text": "Hm"}]}]}, REASONING_ONLY),
        ({"content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "4"}]}, ""),
        ({"content": [{"type": "refusal", "refusal": "I cannot"}]}, ""),
        ({"content": None, "tool_calls": [CALL]}, EMPTY),
        ({"content": "", "function_call": {"name": "f"}, "reasoning": "Hm"}, REASONING_ONLY),
        ({"content": None, "audio": {"id": "a"}}, ""),
    ],
)
def test_a_choice_without_an_answer_lacks_it(message: dict[str, Any], lack: str) -> None:
    assert one(message).lack(Asked(b"{}")) == lack


def test_a_call_of_a_tool_is_the_answer_to_a_request_that_offers_tools() -> None:
    called = one({"content": None, "tool_calls": [CALL]})
    for body, lack in (
        (b'{"tools": [{"type": "function"}]}', ""), (b'{"functions": [{"name": "f"}]}', ""),
        (b'{"tools": []}', EMPTY), (b'{"prompt": "\\"tools\\""}', EMPTY), (b"", EMPTY),
    ):  # fmt: skip
        assert called.lack(Asked(body)) == lack


def test_log_probabilities_are_the_answer_only_if_no_text_is_wanted() -> None:
    likely = one({"content": ""}, logprobs={"content": [{"token": "<eos>", "logprob": -0.1}]})
    assert likely.lack(Asked(b'{"max_tokens": 1}')) == ""
    assert likely.lack(Asked(b'{"max_tokens": 9}')) == EMPTY
    assert not one({"content": ""}, logprobs={"content": [], "refusal": None}).logprobs


@pytest.mark.parametrize(
    "reason", ["content_filter", "SAFETY", "refusal", "sensitive", "PROHIBITED_CONTENT"]
)
def test_a_filter_has_many_names(reason: str) -> None:
    assert one({"content": ""}, finish_reason=reason).is_refused


def test_a_router_may_have_only_the_reason_of_its_provider() -> None:
    found = one({"content": "4"}, finish_reason=None, native_finish_reason="MAX_TOKENS")
    assert found.finish == "MAX_TOKENS"


def test_the_responses_route_says_why_it_is_incomplete() -> None:
    def response(**more: Any) -> Choice:
        (found,) = choices_of([{"object": "response", "output": [], **more}])
        return found

    assert response(status="completed").finish == "completed"
    why = {"reason": "content_filter"}
    assert response(status="incomplete", incomplete_details=why).is_refused
    assert response(status="incomplete", incomplete_details=None).finish == "incomplete"
