"""Packs a model's evaluations into allocations that hold GPUs for the fewest hours.

An allocation loads the model once and then runs its evaluations in *slots*, side by side. It lasts
as long as loading and its busiest slot, and holds its GPUs for all of that time. The problem is bin
packing with parallel slots, a mixed-integer program. CBC solves it (through PuLP) in seconds for
tens of evaluations, from a greedy packing (longest first). Hundreds keep the greedy packing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import pulp

#: The solver stops after this many seconds, and its best packing so far counts.
SOLVER_SECONDS = 10
#: With more variables, the solver finds no better packing than the greedy one in that time.
_MAX_VARIABLES = 4000
#: A relative gap to the optimum that is small beside the error of expected durations.
_GAP = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an allocation.

    Attributes:
        seconds: how long it may last, loading included; infinite without a limit.
        slots: how many evaluations run side by side.
        evaluations: how many it may hold in all, or None.
        allocations: the exact number of allocations (at most one an evaluation), or None for as
            few hours as possible.
    """

    seconds: float = math.inf
    slots: int = 1
    evaluations: int | None = None
    allocations: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """The evaluations (by their place in the durations) of one allocation, a tuple a slot."""

    slots: tuple[tuple[int, ...], ...]

    @property
    def members(self) -> tuple[int, ...]:
        """Its evaluations, in rising order."""
        return tuple(sorted(item for slot in self.slots for item in slot))

    def seconds(self, durations: Sequence[float], loading: float) -> float:
        """How long it lasts."""
        return loading + max((sum(durations[i] for i in slot) for slot in self.slots), default=0)


def pack(durations: Sequence[float], loading: float, limits: Limits) -> list[Allocation]:
    """Return allocations for evaluations of *durations*, each with *loading* seconds before.

    An evaluation that is longer than an allocation may last has one slot to itself and resumes in
    the next allocation. With a given number of allocations, the longest is as short as possible.
    """
    if not durations:
        return []
    room = max(limits.seconds - loading, 1e-9)
    fitting = [min(duration, room) for duration in durations]
    start = _greedy(fitting, room, limits, _fewest(fitting, room, limits))
    better = _solve(fitting, loading, room, limits, start)
    return sorted(better, key=lambda a: -a.seconds(durations, loading))


def total_seconds(
    allocations: Sequence[Allocation], durations: Sequence[float], loading: float
) -> float:
    """The sum of the allocations' durations."""
    return sum(allocation.seconds(durations, loading) for allocation in allocations)


def _fewest(durations: Sequence[float], room: float, limits: Limits) -> int:
    """A lower bound for the number of allocations."""
    if limits.allocations:
        return min(limits.allocations, len(durations))
    most = limits.evaluations or len(durations)
    by_time = 0 if math.isinf(room) else math.ceil(sum(durations) / room / limits.slots - 1e-9)
    return max(1, by_time, math.ceil(len(durations) / most))


def _greedy(
    durations: Sequence[float], room: float, limits: Limits, count: int
) -> list[Allocation]:
    """Pack the longest first, into the least busy slot with room, or into a new allocation."""
    bins: list[list[list[int]]] = [[[] for _ in range(limits.slots)] for _ in range(count)]
    load = [[0.0] * limits.slots for _ in range(count)]
    most = limits.evaluations or len(durations)
    for item in sorted(range(len(durations)), key=lambda i: -durations[i]):
        # A given number of allocations is filled evenly, also beyond their limit.
        places = [
            (seconds, b, s)
            for b, slots in enumerate(load)
            for s, seconds in enumerate(slots)
            if sum(map(len, bins[b])) < most
            and (limits.allocations or seconds + durations[item] <= room * (1 + 1e-9))
        ]
        if places:
            _, b, s = min(places)
        else:
            b, s = len(bins), 0
            bins.append([[] for _ in range(limits.slots)])
            load.append([0.0] * limits.slots)
        bins[b][s].append(item)
        load[b][s] += durations[item]
    return [Allocation(tuple(tuple(slot) for slot in slots)) for slots in bins if any(slots)]


def _solve(
    durations: Sequence[float],
    loading: float,
    room: float,
    limits: Limits,
    start: list[Allocation],
) -> list[Allocation]:
    """Return the best packing that the solver finds from *start*; or *start*."""
    items, slots = range(len(durations)), range(min(limits.slots, len(durations)))
    bins = range(len(start))  # more would load more often than the packing *start*
    if len(items) * len(bins) * len(slots) > _MAX_VARIABLES or (len(bins), len(slots)) == (1, 1):
        return start
    model = _Model(durations, loading, room, limits, items, bins, slots)
    model.begin_with(start)
    solver = pulp.PULP_CBC_CMD(msg=False, warmStart=True, timeLimit=SOLVER_SECONDS, gapRel=_GAP)
    model.problem.solve(solver)
    if model.problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return start
    found = model.packing()
    if sorted(i for allocation in found for i in allocation.members) != list(items):
        return start

    def cost(packing: Sequence[Allocation]) -> tuple[float, float]:
        each = [allocation.seconds(durations, loading) for allocation in packing]
        return (max(each), sum(each)) if limits.allocations else (sum(each), max(each))

    return min(found, start, key=cost)


class _Model:
    """The mixed-integer program: which evaluation is in which slot of which allocation."""

    def __init__(
        self,
        durations: Sequence[float],
        loading: float,
        room: float,
        limits: Limits,
        items: range,
        bins: range,
        slots: range,
    ) -> None:
        self._durations, self._items, self._bins, self._slots = durations, items, bins, slots
        self.problem = problem = pulp.LpProblem("packing", pulp.LpMinimize)
        self._put = put = pulp.LpVariable.dicts("put", product(items, bins, slots), cat="Binary")
        self._used = used = pulp.LpVariable.dicts("used", bins, cat="Binary")
        longest = sum(durations)
        # Evaluations that do not fit into a given number of allocations resume later.
        most_seconds = longest if limits.allocations else min(room, longest)
        self._lasts = lasts = pulp.LpVariable.dicts("lasts", bins, 0, most_seconds)
        most = limits.evaluations or len(durations)
        total = pulp.lpSum(loading * used[b] + lasts[b] for b in bins)
        if limits.allocations:
            end = pulp.LpVariable("end", 0)
            for b in bins:
                problem += end >= lasts[b]
            problem += longest * end + total, "hours"
        else:
            problem += total, "hours"
        for i in items:
            problem += pulp.lpSum(put[i, b, s] for b, s in product(bins, slots)) == 1
        for b in bins:
            problem += pulp.lpSum(put[i, b, s] for i, s in product(items, slots)) <= most * used[b]
            problem += lasts[b] <= most_seconds * used[b]
            for s in slots:
                problem += lasts[b] >= pulp.lpSum(durations[i] * put[i, b, s] for i in items)
        for b in bins[1:]:  # so that the solver does not try equal allocations in every order
            problem += lasts[b - 1] >= lasts[b]

    def begin_with(self, start: Sequence[Allocation]) -> None:
        """Give the solver the packing *start* to improve."""
        ordered = sorted(start, key=lambda a: -a.seconds(self._durations, 0))
        placed = {
            (i, b, s) for b, a in enumerate(ordered) for s, slot in enumerate(a.slots) for i in slot
        }
        for key, variable in self._put.items():
            variable.setInitialValue(int(key in placed))
        for b in self._bins:
            self._used[b].setInitialValue(1)
            self._lasts[b].setInitialValue(ordered[b].seconds(self._durations, 0))

    def packing(self) -> list[Allocation]:
        """Return the solver's packing, without empty allocations."""
        put = self._put
        found = [
            Allocation(
                tuple(
                    tuple(i for i in self._items if round(put[i, b, s].value() or 0))
                    for s in self._slots
                )
            )
            for b in self._bins
        ]
        return [allocation for allocation in found if allocation.members]
