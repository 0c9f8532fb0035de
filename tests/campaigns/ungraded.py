"""Campaign: intervals of scores of which some samples are not graded, and how often they are right.

Each seed is one simulated benchmark whose true score is known. Some of its samples lose their
score: at random, only right ones, or only wrong ones. An interval is right if it holds the true
score. A line of ``ungraded.jsonl`` has the share of right intervals for each way to lose scores,
and of the worst case: no easy case may hide a hard one.
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
from snakeval.results.statistics.intervals import of_samples
from snakeval.results.statistics.samples import Scores

RESULTS = Path(__file__).with_suffix(".jsonl")
#: The smallest share of right intervals at a nominal 95 %.
LIMIT = 0.945
#: A case is not sound if a true share of `LIMIT` explains its count with less than this chance.
CHANCE = 1e-4
WAYS = ("at random", "all right", "all wrong")


@dataclass(frozen=True)
class Case:
    """What is simulated: the kind of scores, how many, the true score, and how scores are lost."""

    kind: str
    n: int
    truth: float
    share: float
    way: str


CASES = [
    Case(*case)
    for case in product(
        ("right or wrong", "groups", "numbers"),
        (60, 300),
        (0.5, 0.8, 0.95),
        (0.05, 0.2),
        WAYS,
    )
]


def drawn(random: np.random.Generator, case: Case) -> Scores:
    """Return the scores of a benchmark's samples, of which some are lost."""
    n = case.n
    groups: list[str] = []
    if case.kind == "numbers":
        values = random.beta(4 * case.truth, 4 * (1 - case.truth), n)
        good = values > case.truth
    else:
        chance: Any = case.truth
        if case.kind == "groups":  # of 3, with one difficulty each
            numbers = np.arange(n) // 3
            chance = random.beta(6 * case.truth, 6 * (1 - case.truth), n // 3 + 1)[numbers]
            groups = [f"g{number}" for number in numbers]
        values = (random.random(n) < chance).astype(float)
        good = values == 1
    may = {"at random": np.ones(n, bool), "all right": good, "all wrong": ~good}[case.way]
    lost = random.permutation(np.flatnonzero(may))[: max(1, round(case.share * n))]
    values[lost] = math.nan
    return Scores.of([str(number) for number in range(n)], values.tolist(), groups)


def play(seed: int) -> tuple[str, list[str]]:
    """Compute one interval; it is counted by its case, and by whether it is right."""
    number = seed % len(CASES)
    case = CASES[number]
    scores = drawn(np.random.default_rng([seed, 57]), case)
    found = of_samples(scores)
    if scores.complete:  # no sample of that kind could be lost
        return f"{number} complete", []
    if found.low is None or found.high is None:
        return f"{number} none", [f"{seed}: no interval ({found.reason}): {case}"]
    return f"{number} {'right' if found.low <= case.truth <= found.high else 'wrong'}", []


def sum_up(counted: Counter[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the shares of right intervals, and the cases with too few."""
    total: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for name, count in counted.items():
        number, verdict = name.split()
        if verdict in ("right", "wrong"):
            total[int(number)] += count
            right[int(number)] += count * (verdict == "right")
    shares = {}
    for way in WAYS:
        chosen = [number for number in total if CASES[number].way == way]
        of_way = max(1, sum(total[number] for number in chosen))
        shares[way] = round(sum(right[number] for number in chosen) / of_way, 5)
    worst = min(total, key=lambda number: right[number] / total[number])
    fields = {
        "intervals": total.total(),
        "right": round(right.total() / total.total(), 5),
        "by_way": shares,
        "worst": f"{right[worst]} of {total[worst]}: {CASES[worst]}",
    }
    problems = [
        f"only {right[number]} of {count} are right: {CASES[number]}"
        for number, count in total.items()
        if stats.binom.cdf(right[number], count, LIMIT) < CHANCE
    ]
    if total.total() >= 10_000:
        problems += [f"{way}: {share}" for way, share in shares.items() if share < LIMIT]
    return fields, problems


def main() -> int:
    """Play seeds; return 1 if too few intervals are right."""
    options = seeds.options(__doc__, "nothing here; intervals are computed in process")
    if options.seed is not None:
        print(CASES[options.seed % len(CASES)], play(options.seed)[0])
        return 0
    return seeds.campaign(options, RESULTS, play, "intervals", sum_up)


if __name__ == "__main__":
    sys.exit(main())
