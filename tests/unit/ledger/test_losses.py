"""Requests without an answer are counted by cause, and those that were healed are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger import answers
from snakeval.ledger.losses import Losses, cause_of
from snakeval.ledger.outcome import Outcome
from support.ledger import answer, bed, completion, counting, raw, run, says

HTML = b"<!doctype html><title>Sign in</title>"


def outcome(
    status: int = 200,
    body: bytes = b"",
    kind: str = "application/json",
    verdict: str = answers.PASSED,
    *,
    cut: bool = False,
) -> Outcome:
    return Outcome(status, "", [("Content-Type", kind)], body, verdict, cut=cut)


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (None, "given_up"),
        (outcome(verdict=answers.SOUND), "given_up"),
        (outcome(502, b'{"error": 1}', verdict=answers.ERROR), "error"),
        (outcome(200, HTML, "text/html"), "html"),
        (outcome(200, HTML), "html"),
        (outcome(200, b"", "text/html"), "truncated"),
        (outcome(200, b'{"choices": []}'), "error"),
        (outcome(200, b'{"choices": [{'), "truncated"),
        (outcome(200, b"data: {}\n\n", "text/event-stream"), "truncated"),
        (outcome(200, b"data", verdict=answers.BROKEN, cut=True), "truncated"),
        (outcome(400), "refused"),
        (outcome(422), "refused"),
        (outcome(404), "given_up"),
        (outcome(401), "given_up"),
        (outcome(503, verdict=answers.BUSY), "given_up"),
        (outcome(502, verdict=answers.LATE), "given_up"),
    ],
)
def test_each_outcome_has_a_cause(found: Outcome | None, cause: str) -> None:
    assert cause_of(found) == cause


def test_a_request_that_is_repeated_until_its_answer_is_healed() -> None:
    losses = Losses()
    losses.lose(b"a", 0, "given_up")
    losses.lose(b"b", 0, "html")
    losses.lose(b"tokenizer", 0)
    losses.answer(b"a", 0)
    losses.settle([(b"a", 1), (b"b", 1), (b"c", 1)])
    assert losses.data() == {"html": 1}
    assert len(losses.once) == 3


def test_a_question_with_fewer_samples_than_the_others_lost_one() -> None:
    losses = Losses()
    losses.lose(b"a", 0, "error")
    losses.answer(b"a", 0)  # by the next sample of the same question
    losses.settle([(b"a", 3), (b"b", 4), (b"c", 4)])
    assert losses.data() == {"error": 1}
    losses.settle([(b"a", 4), (b"b", 4), (b"c", 4)])
    assert losses.data() == {}


def test_questions_that_lost_an_answer_are_compared_with_those_that_lost_none() -> None:
    losses = Losses()
    for key in (b"a", b"b", b"c"):
        losses.lose(key, 1, "given_up")
        losses.answer(key, 1)  # by the next sample of the same question
    losses.settle([(b"a", 3), (b"b", 3), (b"c", 4), (b"d", 4)])
    assert losses.data() == {"given_up": 2}


def ask(number: int, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": f"{number}"}], **more}


def test_the_gateway_counts_what_it_could_not_answer(tmp_path: Path) -> None:
    page = raw("200 OK", ["Content-Type: text/html", f"Content-Length: {len(HTML)}"], HTML)
    empty, broken = answer({"choices": []}), answer({"error": {"message": "sick"}})
    refused = answer({"error": {"message": "no"}}, "400 Bad Request")

    async def scenario() -> None:
        script = says(page, empty, broken, refused, answer(completion("yes")))
        async with bed(tmp_path, script, tries=1) as b:
            for number in range(4):
                await b.post(ask(number))
            assert b.counts["lost"] == {"html": 1, "error": 2, "refused": 1}
            await b.post(ask(0))
            assert b.counts["lost"] == {"error": 2, "refused": 1}, "the page is healed"
            assert b.counts["unanswered"] == 4

    run(scenario())


def test_a_hang_up_is_a_lost_request_until_the_harness_asks_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(0.2)) as b:
            await b.hang_up(ask(1), lambda: bool(b.endpoint.asked))
            assert b.counts["lost"] == {"given_up": 1}
            await b.post(ask(1))
            assert b.counts["lost"] == {}

    run(scenario())


def test_a_missing_tokenizer_loses_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, says(answer({"detail": "none"}, "404 Not Found"))) as b:
            await b.post({"prompt": "a"}, "/tokenize")
            assert b.counts["lost"] == {}

    run(scenario())


def test_answers_that_no_harness_asked_for_again_are_noted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            await b.post(ask(1))
            await b.post(ask(2))
        unused = tmp_path / "model/unused"
        assert not unused.exists()
        async with bed(tmp_path, counting()) as b:
            await b.post(ask(1))
        assert unused.exists()
        async with bed(tmp_path, counting()) as b:
            for number in (1, 2):
                await b.post(ask(number))
        assert not unused.exists()

    run(scenario())


def test_a_summary_names_the_identity_of_its_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            assert json.loads(json.dumps(b.counts))["identity"] == "identity"

    run(scenario())
