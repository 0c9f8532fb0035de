"""Tests that equal requests receive the answers of their slots, whatever hangs up or dies."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from snakeval.ledger.reading import stored
from support.ledger import (
    CHAT,
    Asked,
    answer,
    bed,
    counting,
    run,
    says,
    until,
)

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}], "temperature": 0.7}


def sample(number: int) -> dict[str, Any]:
    return {**QUESTION, "user": f"item {number}"}


def test_an_answered_request_is_not_asked_again_by_the_next_attempt(tmp_path: Path) -> None:
    async def attempt(asked_now: int, replayed: int) -> list[str]:
        async with bed(tmp_path, counting()) as b:
            texts = [(await b.post(sample(n))).body.decode() for n in range(5)]
            assert len(b.endpoint.asked) == asked_now
            assert b.counts["answers"] == {"asked": asked_now, "journal": replayed, "joined": 0}
            return texts

    async def scenario() -> None:
        assert await attempt(5, 0) == await attempt(0, 5)

    run(scenario())


def test_equal_requests_are_samples_and_each_is_asked_for(tmp_path: Path) -> None:
    async def attempt() -> list[str]:
        async with bed(tmp_path, counting(0.02)) as b:
            found = await asyncio.gather(*(b.post(QUESTION) for _ in range(4)))
            assert b.counts["tokens"] == {"prompt": 12, "completion": 20}
            return sorted(received.body.decode() for received in found)

    async def scenario() -> None:
        first = await attempt()
        assert len(set(first)) == 4
        assert await attempt() == first

    run(scenario())


def test_the_order_of_keys_and_blanks_do_not_make_another_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            first = await b.post(b'{"model": "m", "messages": [], "n": 1}')
        async with bed(tmp_path, counting()) as b:
            second = await b.post(b'{"n":1,"messages":[],"model":"m"}')
            assert (second.body, len(b.endpoint.asked)) == (first.body, 0)

    run(scenario())


def test_a_harness_that_hangs_up_and_asks_again_joins_its_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(0.3)) as b:
            for _ in range(3):
                await b.hang_up(QUESTION, lambda: len(b.endpoint.asked) == 1)
            assert b.counts["unanswered"] == 1
            both = await asyncio.gather(b.post(QUESTION), b.post(QUESTION))
            assert len(b.endpoint.asked) == 2
            assert len({received.body for received in both}) == 2
            assert b.counts["answers"]["joined"] == 3
            assert b.counts["unanswered"] == 1, "one of the two may be the next sample"

    run(scenario())


def test_an_answer_whose_harness_hung_up_goes_to_the_next_equal_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(0.1)) as b:
            await b.hang_up(QUESTION, lambda: len(b.endpoint.asked) == 1)
            await until(lambda: b.gateway.under_way == 0)
            assert "answer 1" in (await b.post(QUESTION)).body.decode()
            assert "answer 2" in (await b.post(QUESTION)).body.decode()

    run(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_k_answers_stay_k_different_ones_over_hang_ups_and_attempts(
    tmp_path: Path, seed: int
) -> None:
    """Three attempts over 5 items with 4 samples each; requests hang up at random moments."""
    chance, numbers = random.Random(seed), itertools.count(1)

    async def attempt(last: bool) -> tuple[dict[int, list[str]], int]:
        texts: dict[int, list[str]] = {n: [] for n in range(5)}
        script = counting(0.01, numbers)

        async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(chance.random() * 0.05)
            await script(asked, writer)

        async with bed(tmp_path, slow) as b:

            async def one(number: int) -> None:
                if not last and chance.random() < 0.4:
                    moment = asyncio.get_running_loop().time() + chance.random() * 0.05
                    await b.hang_up(
                        sample(number), lambda: asyncio.get_running_loop().time() > moment
                    )
                else:
                    texts[number].append((await b.post(sample(number))).body.decode())

            await asyncio.gather(*(one(n) for n in range(5) for _ in range(4)))
            if not last:
                return texts, len(b.endpoint.asked)
            assert b.counts["not_asked_again"] == 0
            return texts, len(b.endpoint.asked)

    async def scenario() -> None:
        for _ in range(2):
            await attempt(last=False)
        texts, _ = await attempt(last=True)
        again, asked = await attempt(last=True)
        assert asked == 0
        for number in range(5):
            assert len(set(texts[number])) == 4
            assert sorted(texts[number]) == sorted(again[number])

    run(scenario())


def test_each_sample_after_the_first_has_a_seed_of_its_own(tmp_path: Path) -> None:
    async def seeds(**more: Any) -> list[Any]:
        async with bed(tmp_path / str(more), counting()) as b:
            for _ in range(3):
                await b.post({**QUESTION, **more})
            return [asked.data.get("seed") for asked in b.endpoint.asked]

    async def scenario() -> None:
        assert await seeds(seed=1234) == [1234, 1235, 1236]
        assert await seeds(seed=1234, temperature=0) == [1234] * 3
        assert await seeds() == [None] * 3

    run(scenario())


def test_the_journal_says_which_seed_was_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            for _ in range(2):
                await b.post({**QUESTION, "seed": 7})
        first, second = stored(tmp_path)
        assert (first.number, second.number) == (1, 2)
        assert b'"seed": 7' in second.answer.request
        assert second.answer.meta["sent"] == {"seed": 8}
        assert "sent" not in first.answer.meta

    run(scenario())


def test_offline_the_journal_alone_answers_and_a_miss_names_the_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            first = await b.post(QUESTION)
            await b.ask("GET", "/v1/models")
        async with bed(tmp_path, counting(), offline=True) as b:
            assert (await b.post(QUESTION)).body == first.body
            assert (await b.ask("GET", "/v1/models")).status == 200
            missed = await b.post(QUESTION)
            assert missed.status == 400
            assert "number 2" in missed.data["error"]["message"]
            assert "2 + 2?" in missed.data["error"]["message"]
            assert b.endpoint.asked == []
            await b.post(QUESTION)
            assert b.counts["missed"] == 1, "the harness repeats the request"

    run(scenario())


def test_a_list_of_models_is_asked_for_each_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            for _ in range(2):
                await b.ask("GET", "/v1/models")
            assert len(b.endpoint.asked) == 2
            assert (b.counts["requests"], b.counts["other_requests"]) == (0, 2)

    run(scenario())


def test_the_tokenizer_is_kept_and_not_counted_as_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        for asked in (1, 0):
            async with bed(tmp_path, says(answer({"tokens": [1, 2]}))) as b:
                assert (await b.post({"prompt": "x"}, "/tokenize")).data == {"tokens": [1, 2]}
                assert len(b.endpoint.asked) == asked
                assert (b.counts["requests"], b.counts["other_requests"]) == (0, 1)

    run(scenario())


def test_memory_stores_nothing_and_still_hands_over_what_a_hang_up_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(0.1), mode="memory") as b:
            await b.hang_up(QUESTION, lambda: len(b.endpoint.asked) == 1)
            await until(lambda: b.gateway.under_way == 0)
            assert "answer 1" in (await b.post(QUESTION)).body.decode()
        assert list(tmp_path.iterdir()) == []

    run(scenario())


def test_answers_that_the_harness_did_not_ask_for_again_are_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            for number in range(3):
                await b.post(sample(number))
        async with bed(tmp_path, counting()) as b:
            await b.post(sample(1))
            assert (b.counts["stored"], b.counts["not_asked_again"]) == (3, 2)

    run(scenario())


def test_a_journal_that_cannot_be_written_ends_the_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "model").write_text("in the way")
        async with bed(tmp_path, counting()) as b:
            received = await b.post(QUESTION)
            assert received.status == 502
            assert "answer 1" not in received.body.decode()
            assert "cannot be written" in b.fatal[0]

    run(scenario())


def test_while_it_drains_the_gateway_finishes_requests_and_takes_no_new_ones(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(0.3), start=1, ceiling=1) as b:
            under_way, queued = (asyncio.ensure_future(b.post(sample(n))) for n in range(2))
            await until(lambda: b.counts["in_flight"] == 1 and b.counts["queued"] == 1)
            b.gateway.drain()
            assert (await b.post(sample(2))).status == 503
            assert sorted([(await under_way).status, (await queued).status]) == [200, 503]
            assert len(b.endpoint.asked) == 1
            assert b.gateway.under_way == 0

    run(scenario())


def test_an_image_is_kept_by_its_hash(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    request = {**QUESTION, "messages": [{"role": "user", "content": [image]}]}

    async def scenario() -> None:
        for asked in (1, 0):
            async with bed(tmp_path, counting()) as b:
                await b.post(request)
                assert len(b.endpoint.asked) == asked
        (found,) = stored(tmp_path)
        assert found.answer.request == b""
        assert len(found.answer.meta["request_sha256"]) == 64

    run(scenario())


def test_members_of_the_configuration_are_in_what_the_endpoint_receives(tmp_path: Path) -> None:
    async def scenario() -> None:
        more = {"request": {"reasoning_effort": "low"}, "headers": {"X-Team": "evals"}}
        async with bed(tmp_path, counting(), **more) as b:
            await b.post(QUESTION)
            assert b.endpoint.asked[0].data == {**QUESTION, "reasoning_effort": "low"}
            assert b.endpoint.asked[0].headers["x-team"] == "evals"
            assert b.endpoint.asked[0].target == CHAT

    run(scenario())
