"""The packing of evaluations into allocations, against bounds that no packing can beat."""

from __future__ import annotations

import heapq
import math
import random
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.matrix.packing import Allocation, Limits, pack, total_seconds

HOUR = 3600.0


def many(seed: int, count: int = 20) -> list[float]:
    """Durations from a minute to an hour, as benchmarks have them."""
    dice = random.Random(seed)
    return [dice.choice([1, 2, 5, 10, 20, 40]) * 60 * dice.uniform(0.7, 1.4) for _ in range(count)]


def bound(durations: list[float], loading: float, limits: Limits) -> float:
    """What any packing lasts in all: its loads, and the work spread over all slots."""
    work = sum(durations) / limits.slots
    loads = max(1, math.ceil(work / (limits.seconds - loading)))
    return max(loads * loading + work, loading + max(durations))


LOADING = 600.0


@cache
def packed_of(seed: int, slots: int) -> list[Allocation]:
    """The packing of those of this seed, which two tests look at; the solver takes a second."""
    return pack(many(seed), LOADING, Limits(HOUR + LOADING, slots))


@pytest.mark.parametrize(("seed", "slots"), [*product(range(3), (1, 2, 4))])
def test_twenty_evaluations_cost_within_5_percent_of_the_best(seed: int, slots: int) -> None:
    durations, loading, limits = many(seed), LOADING, Limits(HOUR + LOADING, slots)
    packed = packed_of(seed, slots)
    assert sorted(item for one in packed for item in one.members) == list(range(20))
    assert all(one.seconds(durations, loading) <= limits.seconds for one in packed)
    total = total_seconds(packed, durations, loading)
    assert total <= 1.05 * bound(durations, loading, limits)


def test_a_small_case_is_packed_as_well_as_trying_all_ways() -> None:
    durations, loading, limits = [7.0, 6.0, 5.0, 4.0, 3.0, 2.0], 3.0, Limits(14.0, 1)
    ways = []
    for way in product(range(6), repeat=6):
        loads = [sum(d for d, b in zip(durations, way, strict=True) if b == n) for n in range(6)]
        if max(loads) + loading <= limits.seconds:
            ways.append(sum(load + loading for load in loads if load))
    assert total_seconds(pack(durations, loading, limits), durations, loading) == min(ways)


@given(
    st.lists(st.floats(1, 5000), max_size=8),
    st.integers(1, 3),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 4),
)
@settings(max_examples=30)
def test_each_evaluation_is_in_one_slot_within_the_limits(
    durations: list[float], slots: int, most: int | None, count: int | None
) -> None:
    limits = Limits(HOUR, slots, most, count)
    packed = pack(durations, 100, limits)
    assert sorted(i for one in packed for slot in one.slots for i in slot) == [
        *range(len(durations))
    ]
    for allocation in packed:
        assert len(allocation.slots) <= max(slots, 1)
        assert most is None or len(allocation.members) <= most
        alone = all(len(slot) == 1 for slot in allocation.slots if slot)
        within = allocation.seconds(durations, 100) <= HOUR * (1 + 1e-6)
        assert count or alone or within or max(durations) + 100 > HOUR
    if count and not most:
        assert len(packed) <= count


def test_a_given_number_of_allocations_has_a_short_longest_one() -> None:
    packed = pack([10, 9, 8, 7, 6, 5, 4], 1, Limits(allocations=3))
    assert len(packed) == 3
    assert max(one.seconds([10, 9, 8, 7, 6, 5, 4], 1) for one in packed) == 18


def test_there_are_at_most_as_many_allocations_as_evaluations() -> None:
    assert len(pack([5, 5], 1, Limits(allocations=9))) == 2


def test_an_allocation_has_at_most_the_given_number_of_evaluations() -> None:
    packed = pack([1.0] * 10, 1, Limits(slots=8, evaluations=4))
    assert sorted(len(one.members) for one in packed) == [2, 4, 4]


def test_an_evaluation_longer_than_an_allocation_has_its_own_slot() -> None:
    packed = pack([9000, 60, 60], 600, Limits(HOUR, 1))
    assert [one.members for one in packed] == [(0,), (1, 2)]


def test_without_limits_a_model_loads_once_and_without_evaluations_never() -> None:
    assert len(pack(many(1, 50), 600, Limits(slots=8))) == 1
    assert pack([], 600, Limits()) == []


def test_hundreds_are_packed_quickly_without_the_solver() -> None:
    durations, limits = many(7, 400), Limits(4 * HOUR, 8)
    total = total_seconds(pack(durations, 600, limits), durations, 600)
    assert total <= 1.05 * bound(durations, 600, limits)


def simulated(members: list[float], slots: int, loading: float) -> float:
    """How long an allocation lasts as Snakemake runs it: the next one whenever a slot is free."""
    free = [loading] * slots
    for duration in sorted(members, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


@pytest.mark.parametrize("seed", range(3))
def test_the_predicted_hours_are_within_20_percent_of_a_simulated_run(seed: int) -> None:
    expected, loading, slots = many(seed), LOADING, 4
    dice = random.Random(seed)
    actual = [duration * dice.uniform(0.8, 1.2) for duration in expected]
    packed = packed_of(seed, slots)
    predicted = total_seconds(packed, expected, loading)
    took = sum(simulated([actual[i] for i in one.members], slots, loading) for one in packed)
    assert predicted == pytest.approx(took, rel=0.2)
