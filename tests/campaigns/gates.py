"""Campaign: gates of two models whose true difference is known, and how often they are wrong.

Each seed is one gate, ``compare --fail-if-worse MARGIN`` in process: a simulated baseline and a
candidate on one benchmark. The true drop is none, half the margin, the margin, a thousandth of the
scale more, or twice the margin. A verdict is wrong if the gate passes a drop of more than the
margin, or fails a drop of at most the margin. A line of ``gates.jsonl`` has the share of wrong
verdicts of all gates, of those at the margin and a thousandth above it, and of the worst case: no
easy case may hide a hard one.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaigns import seeds
from snakeval.results import gate
from snakeval.results.evidence import Verdict
from snakeval.results.policy import Policy, Rule
from support.measured import KEY, Measured, measured

RESULTS = Path(__file__).with_suffix(".jsonl")
#: The largest share of wrong verdicts at a nominal 5 %.
LIMIT = 0.055
#: A case is not sound if a true share of `LIMIT` explains its count with less than this chance.
CHANCE = 1e-4
#: The share of samples that the baseline gets right.
RIGHT = 0.8
Random = np.random.Generator
Drawn = np.ndarray[tuple[int], np.dtype[Any]]


@dataclass(frozen=True)
class Case:
    """What is simulated: the kind of scores, how many samples, the margin and the true drop."""

    kind: str
    n: int
    margin: float
    truth: float

    @property
    def near(self) -> bool:
        """Whether the true drop is the margin, or only a little more."""
        return 0 <= self.truth - self.margin < 0.002


CASES = [
    Case(kind, n, margin, truth)
    for kind, n, margin in product(
        ("one way", "both ways", "groups", "numbers", "partly right", "errors"),
        (10, 100, 400),
        (0.02, 0.1),
    )
    for truth in (0.0, margin / 2, margin, margin + 0.001, 2 * margin)
]


def drawn(random: Random, case: Case) -> tuple[Drawn, Drawn, list[str]]:
    """Return the scores of the baseline and the candidate, and the groups of the samples."""
    n, truth = case.n, case.truth
    old = (random.random(n) < RIGHT).astype(float)
    place = random.random(n)
    if case.kind == "numbers":
        old = random.uniform(0.4, 0.6, n)
        return old, old - truth + random.uniform(-0.2, 0.2, n), []
    if case.kind == "partly right":  # a few answers lose half of their score
        return np.ones(n), np.where(place < 2 * truth, 0.5, 1.0), []
    if case.kind == "errors":
        return old, (place < RIGHT - truth).astype(float), []
    lost, gained = truth / RIGHT, 0.0
    groups: list[str] = []
    if case.kind != "one way":
        lost, gained = (truth + 0.05) / RIGHT, 0.05 / (1 - RIGHT)
    if case.kind == "groups":  # of half of the groups, twice as many answers are lost
        names = np.arange(n) // 5
        place /= np.maximum(random.integers(0, 2, n // 5 + 1)[names] * 2, 1e-9)
        groups = [f"g{name}" for name in names]
    return old, np.where(old == 1, place >= lost, place < gained).astype(float), groups


def sides(random: Random, case: Case) -> tuple[Measured, Measured]:
    """Return a baseline and a candidate with this true drop."""
    old, new, groups = drawn(random, case)
    if case.kind != "errors":
        return measured(old.tolist(), groups), measured(new.tolist(), groups, host="i")
    errors = [math.sqrt(x.mean() * (1 - x.mean()) / (case.n - 1)) for x in (old, new)]
    before = measured(old.tolist(), samples=False, stderr=errors[0])
    return before, measured(new.tolist(), samples=False, stderr=errors[1], host="i")


def play(seed: int) -> tuple[str, list[str]]:
    """Judge one gate; it is counted by its case, and by its verdict or as wrong."""
    number = seed % len(CASES)
    case = CASES[number]
    before, after = sides(np.random.default_rng([seed, 18]), case)
    policy = Policy(default=Rule(max_drop=case.margin))
    (row,) = gate.judge({KEY: before}, {KEY: after}, [], policy)
    wrong = Verdict.PASS if case.truth > case.margin else Verdict.FAIL
    return f"{number} {'wrong' if row.gate == wrong else row.gate}", []


def sum_up(counted: Counter[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the shares of wrong verdicts, and the cases with too many."""
    total: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    verdicts: Counter[str] = Counter()
    for name, count in counted.items():
        number, verdict = name.split()
        total[int(number)] += count
        wrong[int(number)] += count * (verdict == "wrong")
        verdicts[verdict] += count
    near = [number for number in total if CASES[number].near]
    worst = max(total, key=lambda number: wrong[number] / total[number])
    fields = {
        "gates": total.total(),
        "verdicts": dict(verdicts),
        "wrong": round(wrong.total() / total.total(), 5),
        "near_the_margin": sum(total[number] for number in near),
        "wrong_near_the_margin": round(
            sum(wrong[number] for number in near) / max(1, sum(total[number] for number in near)), 5
        ),
        "worst": f"{wrong[worst]} of {total[worst]}: {CASES[worst]}",
    }
    problems = [
        f"{wrong[number]} of {count} are wrong: {CASES[number]}"
        for number, count in total.items()
        if stats.binom.sf(wrong[number] - 1, count, LIMIT) < CHANCE
    ]
    for name in ("wrong", "wrong_near_the_margin"):
        if fields[name] > LIMIT and total.total() >= 10_000:
            problems.append(f"{name}: {fields[name]}, the limit is {LIMIT}")
    return fields, problems


def main() -> int:
    """Play seeds; return 1 if too many verdicts are wrong."""
    options = seeds.options(__doc__, "nothing here; gates are judged in process")
    if options.seed is not None:
        print(CASES[options.seed % len(CASES)], play(options.seed)[0])
        return 0
    return seeds.campaign(options, RESULTS, play, "gates", sum_up)


if __name__ == "__main__":
    sys.exit(main())
