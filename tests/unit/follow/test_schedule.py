"""When a slot becomes free, the newest ready checkpoint starts, always."""

from __future__ import annotations

import heapq
import random

import pytest

from snakeval.follow.schedule import LONGEST_PAUSE, Failure, Step, next_steps


def steps(*numbers: int, series: str = "run7") -> list[Step]:
    return [Step(f"{series}@{number}", "c") for number in sorted(numbers, reverse=True)]


def names(chosen: list[tuple[Step, ...]]) -> list[str]:
    return [step.model for head in chosen for step in head]


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_newest_ready_starts_at_a_third_of_the_needed_capacity(slots: int, seed: int) -> None:
    """A checkpoint each 60 s; an evaluation takes three times as long as the slots allow."""
    drawn = random.Random(seed)
    now, arrivals = 0.0, [(60.0 * n + drawn.uniform(0, 90), 100 * n) for n in range(60)]
    ready: set[int] = set()
    done: set[Step] = set()
    ends: list[tuple[float, Step]] = []  # of what runs
    events = [*arrivals]
    heapq.heapify(events)
    started: list[int] = []
    while events or ends:
        now = min([moment for moment, _ in [*events[:1], *ends[:1]]])  # type: ignore[misc]
        while events and events[0][0] <= now:
            ready.add(heapq.heappop(events)[1])
        while ends and ends[0][0] <= now:
            done.add(heapq.heappop(ends)[1])  # type: ignore[misc]
        running = [{step.model} for _, step in ends]
        chosen = next_steps(steps(*ready), done=done, running=running, slots=slots, now=now)
        for (step,) in chosen:
            number = int(step.model.partition("@")[2])
            busy = {s for _, s in ends}
            waiting = [s for s in steps(*ready) if s not in done and s not in busy]
            assert step == waiting[0], f"{step} started at {now}, and {waiting[0]} waited"
            assert len(ends) < slots
            started.append(number)
            length = 180.0 * slots * drawn.uniform(0.8, 1.2)
            heapq.heappush(ends, (now + length, step))  # type: ignore[misc]
        assert len(ends) == min(slots, len(ready) - len(done)), "a slot is free while one waits"
    assert sorted(started) == [number for _, number in sorted(arrivals, key=lambda a: a[1])]


def test_failed_step_pauses_and_others_start() -> None:
    failed = {Step("run7@200", "c"): Failure.after(None, 10.0, 60.0)}
    for now, first in ((69.0, "run7@100"), (70.0, "run7@200")):
        assert names(next_steps(steps(100, 200), failed=failed, slots=1, now=now)) == [first]


def test_pauses_double_up_to_an_hour() -> None:
    failure, pauses = None, []
    for _ in range(8):
        failure = Failure.after(failure, 0.0, 60.0)
        pauses.append(failure.again)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert Failure.after(Failure(5000, 0.0), 1.0, 60.0).again == 1 + LONGEST_PAUSE


def test_overwritten_step_starts_again_once_its_head_has_ended() -> None:
    old, new = Step("run7@100", "old"), Step("run7@100", "new")
    assert next_steps([new], done={old}, running=[{"run7@100"}], slots=2) == []
    assert next_steps([new], done={old}, slots=2) == [(new,)]


def test_heads_of_others_hold_slots() -> None:
    running = [{"run7@50"}, {"run7@60", "run7@70"}]
    assert next_steps(steps(100), running=running, slots=2) == []
    assert next_steps(steps(100), running=running, slots=1) == []
    assert names(next_steps(steps(60, 100), running=running, slots=4)) == ["run7@100"]


def test_series_share_the_slots() -> None:
    ready = [*steps(1, 2, 3), *steps(1, 2, series="b")]
    assert names(next_steps(ready, slots=3)) == ["run7@3", "b@2", "run7@2"]
    assert names(next_steps(ready, running=[{"run7@9"}], slots=3)) == ["b@2", "run7@3"]


def test_one_head_gets_all_ready_steps_of_a_shared_server() -> None:
    ready = [*steps(1, 2, 3), *steps(1, 2, series="b")]
    chosen = next_steps(ready, shared={"run7"}, slots=4)
    assert [[step.model for step in head] for head in chosen] == [
        ["run7@3", "run7@2", "run7@1"],
        ["b@2"],
        ["b@1"],
    ]
    running = [{"run7@2", "run7@1"}]
    assert names(next_steps(steps(1, 2, 3), running=running, shared={"run7"}, slots=4)) == []
