"""Tests of the limit: how it grows, what cuts it, and the pace that a 429 teaches.

``benchmarks/limits.py`` has the simulated endpoints on which it is tuned.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from snakeval.ledger.limit import Bounds, Limit
from support.limits import HUNG
from support.workspace import REPOSITORY


class Play:
    """Requests at an endpoint whose answers take *latency* seconds, as a function of the load."""

    def __init__(self, bounds: Bounds, latency: Callable[[int], float] = lambda load: 1.0) -> None:
        self.limit, self.latency, self.now = Limit(bounds, 0.0), latency, 0.0
        self.under_way: list[tuple[float, float]] = []
        self.begun: list[float] = []

    def fill(self) -> None:
        while self.limit.wait(self.now) == 0.0:
            self.limit.begin(self.now)
            self.begun.append(self.now)
            ends = self.now + self.latency(self.limit.in_flight)
            self.under_way.append((ends, self.now))

    def turn(self, **end: Any) -> None:
        """Let the next request end, and begin what the limit allows."""
        self.fill()
        self.under_way.sort()
        self.now, began = self.under_way.pop(0)
        self.limit.end(self.now, began, **end)
        self.fill()

    def turns(self, count: int, **end: Any) -> None:
        for _ in range(count):
            self.turn(**end)


def test_the_window_doubles_while_throughput_grows() -> None:
    play = Play(Bounds(8, 256))
    windows = []
    for _ in range(8):
        play.turns(8)
        windows.append(play.limit.window)
    assert windows[0] == 16
    assert max(windows) >= 32


def test_the_window_stays_below_its_ceiling() -> None:
    play = Play(Bounds(8, 64))
    play.turns(3000)
    assert play.limit.window == 64


def test_the_window_grows_by_one_when_throughput_does_not() -> None:
    play = Play(Bounds(8, 256), lambda load: load / 8)  # 8 answers a second, whatever the load
    play.turns(300)
    assert play.limit.window < 64


def test_a_window_that_is_not_used_does_not_grow() -> None:
    limit = Limit(Bounds(8, 64), 0.0)
    for second in range(100):
        assert limit.wait(second) == 0.0
        limit.begin(second)
        limit.end(second + 0.5, second)
    assert limit.window == 8


@pytest.mark.parametrize("end", [{"failed": True}, {"limited": True}])
def test_a_failure_cuts_the_window_once_a_round_trip(end: dict[str, bool]) -> None:
    play = Play(Bounds(32, 64))
    play.turns(5, **end)
    assert play.limit.window == pytest.approx(32 * 0.7)


def test_another_error_says_nothing_of_the_load() -> None:
    play = Play(Bounds(32, 64))
    play.turns(20, wrong=True)
    assert play.limit.window == 32 or play.limit.window == 33


def test_the_window_is_never_below_one() -> None:
    play = Play(Bounds(2, 64))
    play.turns(50, failed=True)
    assert play.limit.window == 1


def test_a_number_fixes_the_window() -> None:
    play = Play(Bounds(4, 4))
    play.turns(50)
    play.turns(10, failed=True)
    assert (play.limit.window, play.limit.in_flight) == (4, 4)


def test_the_window_does_not_grow_while_answers_take_a_quarter_of_the_time_out() -> None:
    one_slot = Play(Bounds(8, 64, timeout=30), lambda load: 2.0 * load)
    one_slot.turns(100)
    assert one_slot.limit.window == 8


def test_retry_after_pauses_all_requests() -> None:
    limit = Limit(Bounds(8, 64), 0.0)
    limit.begin(0.0)
    limit.end(1.0, 0.0, limited=True, retry_after=30.0)
    assert limit.wait(1.0) == 30.0
    assert limit.wait(31.0) == 0.0


def test_a_429_teaches_a_pace_of_the_accepted_requests_a_second() -> None:
    play = Play(Bounds(20, 64))
    play.turns(200)
    accepted, span = len(play.begun), play.now
    play.turn(limited=True)
    assert play.limit.pace == pytest.approx(0.95 * accepted / span, rel=0.1)


def test_the_pace_is_kept_and_grows_by_2_percent_each_10_s() -> None:
    limit = Limit(Bounds(64, 64), 0.0)
    limit.pace, limit._paced_at = 10.0, 0.0
    begun = []
    now = 0.0
    while now < 9.9:
        wait = limit.wait(now)
        assert wait is not None
        now += wait
        limit.begin(now)
        limit.end(now, now)
        begun.append(now)
    assert len(begun) == pytest.approx(100, abs=2)
    limit.wait(30.0)
    assert limit.pace == pytest.approx(10 * 1.02**3)


def test_time_without_requests_does_not_make_the_pace_slower() -> None:
    """A harness may think for an hour; `time.monotonic` does not begin at 0 either."""
    play = Play(Bounds(20, 64))
    play.now = 3600.0
    play.turns(200)
    accepted, span = len(play.begun), play.now - 3600
    play.turn(limited=True)
    assert play.limit.pace == pytest.approx(0.95 * accepted / span, rel=0.1)


def test_requests_that_never_waited_do_not_make_the_pace_slower() -> None:
    limit = Limit(Bounds(20, 64), 0.0)
    for second in range(600):  # one request a second, by the harness's own choice
        assert limit.wait(second) == 0.0
        limit.begin(second)
        limit.end(second + 0.1, second)
    play = Play(Bounds(20, 64))
    play.limit, play.now = limit, 600.0
    play.turns(100)
    play.turn(limited=True)
    assert play.limit.pace > 8


def test_several_429s_at_once_teach_one_pace() -> None:
    play = Play(Bounds(20, 64))
    play.turns(200)
    play.turn(limited=True)
    pace = play.limit.pace
    for _ in range(10):
        play.turn(limited=True)
    assert play.limit.pace == pace


def test_a_stated_number_of_requests_a_minute_is_kept() -> None:
    play = Play(Bounds(64, 64, requests_per_minute=30), lambda load: 0.1)
    play.turns(30)
    assert play.limit.wait(play.now) == pytest.approx(60 - play.now, abs=0.2)


def test_a_429_spreads_a_stated_number_of_requests_evenly_and_the_next_teaches_less() -> None:
    limit = Limit(Bounds(8, 8, requests_per_minute=600), 0.0)
    limit.begin(0.0)
    assert limit.wait(0.0) == 0.0, "a burst is tried once"
    limit.end(0.1, 0.0, limited=True)
    assert limit.pace == pytest.approx(9.5)
    for number in range(1, 11):
        limit.begin(0.4 * number)
        limit.end(0.4 * number + 0.1, 0.4 * number)
    limit.begin(4.5)
    limit.end(4.6, 4.5, limited=True)
    assert limit.pace == pytest.approx(10 / 4.5 * 0.95)


def test_a_stated_number_of_tokens_a_minute_is_kept() -> None:
    limit = Limit(Bounds(64, 64, tokens_per_minute=1000), 0.0)
    for second in range(4):
        assert limit.wait(second) == 0.0
        limit.begin(second)
        limit.end(second + 0.5, second, tokens=300)
    assert limit.wait(4.0) == pytest.approx(56.5)


def test_less_than_one_request_a_minute_is_one_in_a_longer_time() -> None:
    limit = Limit(Bounds(8, 8, requests_per_minute=0.2), 0.0)
    assert limit.wait(0.0) == 0
    limit.begin(0.0)
    assert limit.wait(0.0) == pytest.approx(300)
    assert limit.wait(299.0) == pytest.approx(1)
    assert limit.wait(HUNG) == 0


def test_the_benchmark_plays_an_endpoint_that_answers_one_request_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    benchmark, simulated = map(importlib.import_module, ("limits", "simulated"))
    (case,) = (case for case in simulated.CASES if case.name == "one slot")
    found = benchmark.simulate(case, benchmark.AUTO, 0)
    assert found.seconds == pytest.approx(case.requests * 2)
    assert (found.failed, found.twice) == (0, 0)
