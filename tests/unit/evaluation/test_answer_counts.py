"""Each odd answer is counted as what it is, and a sound one as nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from snakeval.evaluation.answer_counts import AnswerCounts
from snakeval.evaluation.health import Answers
from support.journals import LONG, Kept, said

COUNTED = (
    "cut",
    "unended",
    "empty",
    "reasoning_only",
    "refused",
    "filtered",
    "form",
    "equal",
    "missing",
)


def counted(*kept: Kept) -> Answers:
    counts = AnswerCounts()
    for each in kept:
        counts.add(hashlib.md5(b"%d" % each.question).digest(), each.occurrence, each.whole)
    return counts.found()


def found_in(kept: Kept) -> dict[str, int]:
    found = counted(kept)
    return {name: number for name in COUNTED if (number := getattr(found, name))}


def text(value: Any, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": value, "finish_reason": finish}]}


THINKS = {"reasoning_content": "let me think"}
USED_TOKENS = {"usage": {"completion_tokens_details": {"reasoning_tokens": 9}}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(), {}),
        (said("half", "length"), {"cut": 1}),
        (said("half", "MAX_TOKENS"), {"cut": 1}),
        (said("half", "model_length"), {"cut": 1}),
        (said(" \n"), {"empty": 1}),
        (said("", "length"), {"cut": 1, "empty": 1}),
        (said(None), {"empty": 1}),
        (said(None, "length", message=THINKS), {"cut": 1, "reasoning_only": 1}),
        (said("", **USED_TOKENS), {"reasoning_only": 1}),
        (said("yes", message=THINKS), {}),
        (said("", "content_filter"), {"refused": 1, "filtered": 1}),
        (said(None, message={"refusal": "I cannot"}), {"refused": 1, "filtered": 1}),
        (said(None, "tool_calls", message={"tool_calls": [{"id": 1}]}), {"empty": 1}),
        (said("<think>let me"), {"reasoning_only": 1}),
        (said("<think>let me", "length"), {"cut": 1, "reasoning_only": 1}),
        (said("yes", None), {"unended": 1}),
        (said("yes", "other"), {"unended": 1}),
        (said("yes", "eos_token"), {}),
        (said("", "SAFETY"), {"refused": 1, "filtered": 1}),
        (said([{"type": "text", "text": "yes"}]), {"form": 1}),
        (said(None, None, choice={"message": None}), {"empty": 1, "unended": 1}),
        ({"choices": [{"message": {"content": "yes"}}]}, {"form": 1, "unended": 1}),
        (text("yes"), {}),
        (text("", "length"), {"cut": 1, "empty": 1}),
        ({"data": [{"embedding": [0.1]}]}, {}),
        (
            {"object": "response", "status": "incomplete", "output": [{"type": "reasoning"}]},
            {"cut": 1, "reasoning_only": 1},
        ),
        (
            {
                "object": "response",
                "status": "completed",
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}],
            },
            {},
        ),
    ],
)
def test_an_answer_is_counted_as_what_it_is(
    answer: dict[str, Any], expected: dict[str, int]
) -> None:
    assert found_in(Kept(1, answer)) == expected


def test_likelihoods_and_single_tokens_are_not_cut() -> None:
    probable = text("The cat sat", "length")
    probable["choices"][0]["logprobs"] = {"token_logprobs": [None, -1.0]}
    asks = {"prompt": "The cat sat", "echo": True, "logprobs": 1, "max_tokens": 0}
    assert found_in(Kept(1, probable, request=asks)) == {}
    assert found_in(Kept(1, text("A", "length"), request={"max_tokens": 1})) == {}
    assert found_in(Kept(1, text("A", "length"), request={"max_tokens": 2})) == {"cut": 1}
    probable["choices"][0]["logprobs"] = {"token_logprobs": [-1.0]}
    new = {**asks, "max_tokens": 1}
    assert found_in(Kept(1, probable, request=new)) == {"form": 1}, "the prompt's are missing"
    del probable["choices"][0]["logprobs"]
    assert found_in(Kept(1, probable, request=asks)) == {"form": 1}, "logprobs are missing"


def test_the_used_tokens_show_a_cut_if_the_provider_does_not() -> None:
    answer = said("yes", None)  # of 5 tokens
    assert found_in(Kept(1, answer, request={"max_tokens": 5})) == {"cut": 1}
    assert found_in(Kept(1, answer, request={"max_completion_tokens": 6})) == {"unended": 1}
    assert found_in(Kept(1, said("yes"), request={"max_tokens": 5})) == {}, "it says stop"
    twice = {**answer, "choices": answer["choices"] * 2}
    twice["choices"][1] = {**twice["choices"][1], "index": 1}
    assert found_in(Kept(1, twice, request={"max_tokens": 5})) == {"unended": 2}
    assert found_in(Kept(1, said("", None), request={"max_tokens": 1})) == {"empty": 1}


def test_a_kept_refusal_is_counted_and_is_no_answer() -> None:
    found = counted(Kept(1, {"error": {"message": "no"}}, meta={"status": 400}))
    assert (found.refused, found.answered, found.choices) == (1, 0, 0)


def test_requests_to_a_tokenizer_are_no_answers() -> None:
    assert counted(Kept(1, {"tokens": [1]}, meta={"path": "/tokenize"})).answered == 0


def test_a_stream_is_counted_as_its_whole_answer() -> None:
    chunks = [
        {"model": "m-2", "choices": [{"index": 0, "delta": {"content": part}}]}
        for part in ("a", "b")
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    meta = {"headers": [["Content-Type", "text/event-stream"]]}
    found = counted(Kept(1, meta=meta, body=events.encode()))
    assert (found.choices, found.cut, found.empty) == (1, 1, 0)
    assert found.names == {"m-2": 1}


def test_several_choices_of_one_answer_count_each() -> None:
    choices = [{"index": n, "message": {"content": t}} for n, t in enumerate(["a", "", "b"])]
    found = counted(Kept(1, {"choices": choices}))
    assert (found.answered, found.choices, found.empty) == (1, 3, 1)


@pytest.mark.parametrize(
    ("n", "texts", "form"),
    [(4, 4, 0), (4, 1, 1), (4, 5, 0), (1, 1, 0), (None, 1, 0), ("4", 1, 0), (True, 1, 0)],
)
def test_one_text_for_several_samples_is_an_odd_form(n: Any, texts: int, form: int) -> None:
    choices = [{"index": k, "message": {"content": f"text {k}"}} for k in range(texts)]
    assert counted(Kept(1, {"choices": choices}, request={"n": n})).form == form


def sampled(*texts: str, tokens: int | None = 60, **request: Any) -> Answers:
    usage = {} if tokens is None else {"completion_tokens": tokens}
    return counted(*(Kept(1, said(each, usage=usage), n, request) for n, each in enumerate(texts)))


def test_equal_answers_to_one_question_are_found_if_they_are_long_and_sampled() -> None:
    equal = sampled(LONG, LONG, LONG, temperature=0.7)
    assert (equal.items, equal.equal) == (1, 1)
    assert equal.examples["equal"]
    for other in (
        sampled(LONG, LONG + "!", temperature=0.7),
        sampled(LONG, LONG, temperature=0),
        sampled(LONG, temperature=0.7),
        sampled("yes", "yes", tokens=None, temperature=0.7),
        sampled(LONG, LONG, tokens=3, temperature=0.7),
    ):
        assert other.equal == 0
    assert sampled(LONG, LONG, tokens=0).equal == 1, "no provider needs 0 tokens for a text"
    assert sampled(LONG, LONG).equal == 1, "without a temperature, endpoints use a default"
    batch = sampled(LONG, LONG, prompt=["one", "two"], temperature=0.7)
    assert batch.items == 0


def test_seeds_are_compared_only_if_two_requests_had_the_same() -> None:
    def kept(*answers: tuple[str, int]) -> Answers:
        return counted(
            *(
                Kept(1, said(said_), n, {"seed": 1}, {"sent": {"seed": seed}})
                for n, (said_, seed) in enumerate(answers)
            )
        )

    assert kept(("a", 1), ("a", 2)).seeds == {}
    assert kept(("a", 1), ("b", 1)).seeds == {"different": 1}
    assert kept(("a", 1), ("a", 1)).seeds == {"equal": 1}


def test_waits_and_retries_add_up_and_gaps_are_no_time_under_way() -> None:
    meta = {"tries": 3, "waits": {"429": 4.0, "limit": 1.0}, "time": 100.0, "whole": 1.0}
    found = counted(Kept(1, meta=meta), Kept(2, meta={"time": 102.0, "whole": 1.0}),
                    Kept(3, meta={"time": 500.0, "whole": 2.0}))  # fmt: skip
    assert found.retries == 2
    assert found.waits == {"429": 4.0, "limit": 1.0}
    assert found.seconds == 8.0


def test_names_and_examples_are_bounded() -> None:
    found = counted(*(Kept(n, said("", model=f"m-{n}")) for n in range(200)))
    assert found.empty == 200
    assert len(found.names) == 50
    assert len(found.examples["empty"]) == 20
