"""Requests that an endpoint refuses whatever its load: kept, replayed, and dropped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from snakeval.ledger import reading, summary
from support.ledger import KEY, Asked, Script, answer, bed, completion, counting, raw, run, says

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "very long"}], "seed": 7}
TOO_LONG = {"error": {"message": "This model's maximum context length is 32 tokens.", "code": 400}}


def refuses(text: str = "", status: str = "400 Bad Request") -> Script:
    message = {"message": text} if text else TOO_LONG["error"]
    return says(answer({"error": message}, status))


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "413 Payload Too Large", "422 Unprocessable"]
)
def test_a_refusal_of_the_endpoint_comes_from_the_journal_from_then_on(
    tmp_path: Path, status: str
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, refuses(status=status)) as b:
            first = await b.post(QUESTION)
            assert (await b.post(QUESTION)).body == first.body, "a repetition, or the next sample"
            assert (len(b.endpoint.asked), first.status) == (1, int(status[:3]))
        for offline in (False, True):
            async with bed(tmp_path, counting(), offline=offline) as b:
                again = await b.post(QUESTION)
                assert (again.status, again.reason, again.body) == (
                    first.status,
                    first.reason,
                    first.body,
                )
                assert b.endpoint.asked == []
                assert (b.counts["missed"], b.counts["failed"]) == (0, 1)
                assert b.counts["lost"] == {"refused": 1}
                assert [f["message"] for f in b.counts.get("faults", [])] == [
                    TOO_LONG["error"]["message"]
                ] * (not offline)
                assert b.counts["answers"] == {"asked": 0, "journal": 1, "joined": 0}
                assert (b.counts["stored"], b.counts["not_asked_again"]) == (0, 0)

    run(scenario())


def test_an_answer_of_an_earlier_sample_stays_an_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = says(answer(completion("one")), answer(TOO_LONG, "400 Bad Request"))
        async with bed(tmp_path, script) as b:
            assert [(await b.post(QUESTION)).status for _ in range(3)] == [200, 400, 400]
        async with bed(tmp_path, counting()) as b:
            assert [(await b.post(QUESTION)).status for _ in range(3)] == [200, 400, 400]
            assert b.endpoint.asked == []

    run(scenario())


def test_equal_requests_that_are_refused_at_once_are_all_refused(tmp_path: Path) -> None:
    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(answer(TOO_LONG, "400 Bad Request"))

    async def scenario() -> None:
        async with bed(tmp_path, slow) as b:
            found = await asyncio.gather(*(b.post(QUESTION) for _ in range(4)))
            assert {received.status for received in found} == {400}
            assert await b.post(QUESTION)
            assert len(b.endpoint.asked) <= 4
        assert len(list(reading.stored(tmp_path))) == 1

    run(scenario())


@pytest.mark.parametrize(
    "script",
    [
        *(
            refuses(status=status)
            for status in ("401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone")
        ),
        refuses("Your credit balance is too low to access the API."),
        refuses("Billing hard limit has been reached"),
        refuses("API key not valid. Please pass a valid API key."),
        refuses("Rate limit exceeded, please try again"),
        refuses("ThrottlingException: too many tokens"),
        refuses("The model is loading"),
        says(
            raw(
                "400 Bad Request",
                ["Content-Length: 12", "Content-Type: text/html"],
                b"<p>nginx</p>",
            )
        ),
        says(raw("400 Bad Request", ["Content-Length: 0"])),
    ],
)
def test_what_a_key_a_payment_or_a_minute_changes_is_asked_again(
    tmp_path: Path, script: Script
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, script) as b:
            refused = await b.post(QUESTION)
            assert 400 <= refused.status < 500
            assert (await b.post(QUESTION)).status == refused.status
            assert len(b.endpoint.asked) == 2
        async with bed(tmp_path, counting()) as b:
            assert (await b.post(QUESTION)).status == 200

    run(scenario())


def test_a_refusal_is_stored_without_the_key_that_it_repeats(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, refuses(f"unknown parameter, asked by {KEY}")) as b:
            assert KEY not in (await b.post(QUESTION)).body.decode()
        (one,) = reading.stored(tmp_path)
        assert (one.is_refusal, one.number, one.id) == (True, 1, f"{one.key.hex()[:12]}-refused")
        assert one.response()["error"]["message"].endswith("asked by *************")

    run(scenario())


@pytest.mark.parametrize("which", [reading.UNHEALTHY, reading.LAST, reading.ALL])
def test_a_dropped_refusal_is_asked_again(tmp_path: Path, which: str) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, refuses()) as b:
            await b.post(QUESTION)
            await b.post(QUESTION)
            data = b.gateway.data()
        summary.write(tmp_path / "summary.json", data)
        assert await asyncio.to_thread(reading.drop, tmp_path, which) == 1
        async with bed(tmp_path, counting()) as b:
            assert (await b.post(QUESTION)).status == 200
        async with bed(tmp_path, refuses()) as b:
            assert (await b.post(QUESTION)).status == 200, "the answer is kept from then on"

    run(scenario())


def test_memory_keeps_no_refusal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, refuses(), mode="memory") as b:
            assert [(await b.post(QUESTION)).status for _ in range(2)] == [400, 400]
            assert len(b.endpoint.asked) == 2

    run(scenario())
