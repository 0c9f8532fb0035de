"""Tests of when a request is asked again."""

from __future__ import annotations

import pytest

from snakeval.ledger.answers import AWAY, BROKEN, BUSY, ERROR, FAILED, LATE, LIMITED, PASSED, SOUND
from snakeval.ledger.retries import Patience, Retries, retry_after

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("25", 25),
        (" 0.5 ", 0.5),
        ("-3", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("soon", 0),
        ("", 0),
        ("nan", 0),
        ("inf", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str, seconds: float) -> None:
    assert retry_after([("Retry-After", header)], NOON) == seconds


def test_milliseconds_are_finer() -> None:
    assert retry_after([("retry-after-ms", "250"), ("Retry-After", "1")]) == 0.25


@pytest.mark.parametrize("cause", [LIMITED, BUSY])
def test_a_refusal_is_waited_out_until_the_deadline(cause: str) -> None:
    retries = Retries(Patience(deadline=100, tries=2), began=0.0)
    assert [retries.pause(cause, now, 25) for now in (0, 25, 50, 75, 80)] == [25, 25, 25, 25, None]
    assert retries.waits == {cause: 100}


def test_pauses_without_retry_after_grow_up_to_half_a_minute() -> None:
    retries = Retries(Patience(), began=0.0)
    pauses = [retries.pause(LIMITED, 0.0) for _ in range(12)]
    assert all(pause is not None and pause <= 30 for pause in pauses)
    assert pauses[0] is not None
    assert pauses[0] <= 0.5
    assert min(pause for pause in pauses[8:] if pause is not None) >= 15


@pytest.mark.parametrize("cause", [FAILED, AWAY, ERROR, BROKEN, LATE])
def test_a_failure_is_tried_again_a_few_times(cause: str) -> None:
    retries = Retries(Patience(tries=4), began=0.0)
    pauses = [retries.pause(cause, 0.0) for _ in range(4)]
    assert [pause is None for pause in pauses] == [False, False, False, True]


@pytest.mark.parametrize("cause", [AWAY, BROKEN])
def test_a_server_that_snakeval_restarts_is_waited_for(cause: str) -> None:
    retries = Retries(Patience(tries=2, restarts=True), began=0.0)
    assert None not in [retries.pause(cause, now) for now in range(20)]


@pytest.mark.parametrize("verdict", [SOUND, PASSED])
def test_an_answer_is_not_asked_for_again(verdict: str) -> None:
    assert Retries(Patience(), 0.0).pause(verdict, 0.0) is None
