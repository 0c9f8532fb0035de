"""Answers that a client cannot read, though their status is 200."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger.answers import ERROR, MALFORMED, SOUND, judge
from snakeval.ledger.asked import Asked
from snakeval.ledger.forms import defect
from support.ledger import CHAT, answer, bed, completion, raw, run, says

JSON = [("Content-Type", "application/json")]
TEXT = "/v1/completions"
NO_LIST = "its choices are no list of objects"
NO_INDEX = "its choices have no valid index"


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    choices = [{"index": n, "message": each, **more} for n, each in enumerate(messages)]
    return {"choices": choices}


@pytest.mark.parametrize(
    ("data", "target", "wrong"),
    [
        (chat({"content": "4"}), CHAT, ""),
        (chat({"content": None}), CHAT, ""),
        (chat({}), CHAT, ""),
        (chat({"content": [{"type": "text", "text": "4"}]}), CHAT, ""),
        ({"choices": [{"message": {"content": "4"}}]}, CHAT, ""),
        (chat(None), CHAT, "its choices have no message"),
        (chat("4"), CHAT, "its choices have no message"),
        ({"choices": [{"index": 0, "text": "4"}]}, CHAT, "its choices have no message"),
        (chat({"content": "4"}, None), CHAT, "its choices have no message"),
        (chat({"content": "4"}), TEXT, "its choices have no text"),
        ({"choices": [{"index": 0, "text": None}]}, TEXT, ""),
        ({"choices": {"0": {"message": {}}}}, CHAT, NO_LIST),
        ({"choices": "4"}, CHAT, NO_LIST),
        ({"choices": [None]}, CHAT, NO_LIST),
        ({"choices": ["4"]}, CHAT, NO_LIST),
        ({"choices": [None]}, "/v1/other", ""),
    ],
)
def test_an_answer_without_the_place_of_its_text_is_a_defect(
    data: dict[str, Any], target: str, wrong: str
) -> None:
    assert defect(data, target) == wrong
    assert judge(200, JSON, json.dumps(data).encode(), target)[0] == (MALFORMED if wrong else SOUND)


@pytest.mark.parametrize("more", [{"finish_reason": "content_filter"}, {"finish_reason": "length"}])
def test_a_filter_or_a_limit_may_leave_no_message(more: dict[str, Any]) -> None:
    assert defect({"choices": [{"index": 0, **more}]}, CHAT, exact=True) == ""


def test_the_likelihood_of_a_text_needs_no_text() -> None:
    assert defect({"choices": [{"index": 0, "logprobs": {"tokens": ["a"]}}]}, TEXT) == ""


NO_LIKELIHOODS = "its choices have no likelihoods of the prompt"
#: As lm-evaluation-harness asks for the likelihood of a text.
LIKELIHOOD = {"prompt": "The sky is blue", "max_tokens": 1, "logprobs": 1, "echo": True}


@pytest.mark.parametrize(
    ("more", "choice", "wrong"),
    [
        ({}, {"logprobs": {"token_logprobs": [None, -1, -2, -3, -4]}}, ""),
        ({}, {"logprobs": {"token_logprobs": [-4]}}, NO_LIKELIHOODS),
        ({}, {"logprobs": {"token_logprobs": []}}, NO_LIKELIHOODS),
        ({}, {"logprobs": {"content": [{"logprob": -4}]}}, NO_LIKELIHOODS),
        ({}, {"logprobs": None}, NO_LIKELIHOODS),
        ({}, {"logprobs": None, "finish_reason": "content_filter"}, ""),
        ({"max_tokens": 0}, {"logprobs": {"token_logprobs": [None, -1]}}, ""),
        ({"max_tokens": 0}, {"logprobs": {"token_logprobs": []}}, NO_LIKELIHOODS),
        ({"echo": False}, {"logprobs": {"token_logprobs": [-4]}}, ""),
        ({"logprobs": None}, {"logprobs": None}, ""),
        ({"max_tokens": 16}, {"logprobs": {"token_logprobs": [-4]}}, ""),
    ],
)
def test_an_endpoint_that_ignores_echo_has_no_likelihood_of_a_text(
    more: dict[str, Any], choice: dict[str, Any], wrong: str
) -> None:
    """The sum of the likelihoods behind the context, which are none, would be 0 for each text."""
    request = json.dumps({**LIKELIHOOD, **more}).encode()
    data = {"choices": [{"index": 0, "text": ".", "finish_reason": "length", **choice}]}
    assert defect(data, TEXT, asked=Asked(request)) == wrong
    found, _ = judge(200, JSON, json.dumps(data).encode(), TEXT, request)
    assert found == (MALFORMED if wrong else SOUND)


@pytest.mark.parametrize(
    ("indexes", "wrong"),
    [
        ([0], ""),
        ([1, 0], ""),
        ([1], NO_INDEX),
        ([None], NO_INDEX),
        (["0"], NO_INDEX),
        ([0.0], NO_INDEX),
        ([False], NO_INDEX),
        ([-1], NO_INDEX),
        ([0, 0], NO_INDEX),
        ([0, 2], NO_INDEX),
    ],
)
def test_an_exact_client_reads_each_choice_at_its_index(indexes: list[Any], wrong: str) -> None:
    data = {"choices": [{"index": index, "message": {"content": "4"}} for index in indexes]}
    assert (defect(data, CHAT), defect(data, CHAT, exact=True)) == ("", wrong)


def test_an_exact_client_reads_no_parts() -> None:
    data = chat({"content": [{"type": "text", "text": "4"}]})
    assert defect(data, CHAT, exact=True) == "its texts are no plain strings"


def test_an_error_is_an_error_before_anything_else() -> None:
    data = {"choices": [{"index": 0, "finish_reason": "error"}]}
    assert judge(200, JSON, json.dumps(data).encode(), CHAT)[0] == ERROR


def without_index(text: str) -> dict[str, Any]:
    said = completion(text)
    del said["choices"][0]["index"]
    return said


def test_a_malformed_answer_is_asked_again_and_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = says(answer(without_index("3")), answer(completion("4")))
        async with bed(tmp_path, script, exact=True) as b:
            healed = await b.post({"messages": []})
            assert healed.data["choices"][0]["message"]["content"] == "4"
            assert (b.counts["tries"], b.counts["causes"]) == (2, {"malformed": 1})

    run(scenario())


def test_a_harness_receives_an_error_in_place_of_answers_that_stay_malformed(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(answer(without_index("4"))), exact=True, tries=2) as b:
            given_up = await b.post({"messages": []})
            assert given_up.status == 502
            assert given_up.data["error"]["message"] == (
                "the endpoint's answer cannot be read: its choices have no valid index"
            )
            assert b.counts["lost"] == {"error": 1}
            (fault,) = b.counts["faults"]
            assert (fault["kind"], fault["message"]) == ("malformed", NO_INDEX)
            assert (fault["tries"], fault["ended"]) == (2, 1)
            assert b.gateway.upstreams["model"].journal.kept == 0
        async with bed(tmp_path, says(answer(without_index("4")))) as b:
            assert (await b.post({"messages": []})).status == 200

    run(scenario())


def test_a_stream_without_choices_is_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        body = b'data: {"detail": "the model loads"}\n\ndata: [DONE]\n\n'
        head = ["Content-Type: text/event-stream", f"Content-Length: {len(body)}"]
        async with bed(tmp_path, says(raw("200 OK", head, body)), tries=1) as b:
            assert (await b.post({"messages": [], "stream": True})).status == 502
            assert b.counts["lost"] == {"error": 1}

    run(scenario())
