"""Campaign: alarms of simulated curves, of which some are flat and some drop by 10 points.

Each seed is 40 flat curves of 60 points on 1,000 questions, and 40 that drop once. Two points of a
flat curve disagree on 2 to 40 % of the questions, because answers are sampled or because each
checkpoint learns some questions and forgets as many others. A curve that drops loses 10 points at
one checkpoint, which disagrees with each point before it on at most 20 % of the questions. The best
points before it are then often above their true score; those that were chosen count.

``python tests/campaigns/alarms.py --seconds 45`` plays the next seeds of ``alarms.jsonl``. It ends
with 1 if more than 5 % of all flat curves alarm, or fewer than 95 % of the drops are found at once.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaigns import seeds
from snakeval.results.statistics.drops import Point, drop
from snakeval.results.statistics.intervals import Interval
from snakeval.results.statistics.samples import Scores

RESULTS = Path(__file__).with_suffix(".jsonl")
QUESTIONS, POINTS, CURVES = 1000, 60, 40
LOST, DISAGREE, FOUND, FALSE = 0.10, 0.20, 0.95, 0.05
#: All seeds together are not sound if a true rate at the limit explains them with less chance.
CHANCE = 1e-4
IDS = pd.Index([f"question {number}" for number in range(QUESTIONS)], dtype=object)

Answers = np.ndarray[tuple[int], np.dtype[Any]]


def as_point(number: int, right: Answers) -> Point:
    """Return the point of a curve whose answers are *right* or not."""
    scores = Scores(IDS, right.astype(float))
    return Point(f"step {number}", float(right.mean()), Interval(), scores)


def sampled(random: np.random.Generator, score: float, disagree: float) -> Answers:
    """Return each question's chance of a right answer: their mean is *score*.

    Two points that sample their answers disagree on *disagree* of the questions: the chances have a
    beta distribution with a + b = c, for which E[2 q (1 - q)] = 2 score (1 - score) c / (c + 1).
    """
    share = disagree / (2 * score * (1 - score))
    concentration = share / (1 - share)
    return random.beta(concentration * score, concentration * (1 - score), QUESTIONS)


def flat(random: np.random.Generator) -> list[Point]:
    """Return a curve without a drop."""
    score = random.uniform(0.3, 0.9)
    disagree = random.uniform(0.02, min(0.4, 1.9 * score * (1 - score)))
    if random.random() < 0.5:
        chances = sampled(random, score, disagree)
        return [as_point(n, random.random(QUESTIONS) < chances) for n in range(POINTS)]
    answers, points = random.random(QUESTIONS) < score, []
    again = disagree / (2 * score * (1 - score))  # the share of questions that are learnt anew
    for number in range(POINTS):
        points.append(as_point(number, answers))
        anew = random.random(QUESTIONS) < again
        answers = np.where(anew, random.random(QUESTIONS) < score, answers)
    return points


def dropping(random: np.random.Generator) -> list[Point]:
    """Return a curve whose last point is `LOST` below those before it.

    With chances q before and c q after the drop, two points disagree on E[q + c q - 2 c q^2].
    """
    score = random.uniform(0.4, 0.9)
    kept = 1 - LOST / score
    while True:
        disagree = random.uniform(0.01, min(0.2, 1.9 * score * (1 - score)))
        chances = sampled(random, score, disagree)
        expected = float(np.mean(chances + kept * chances - 2 * kept * chances**2))
        if expected <= DISAGREE and abs(chances.mean() - score) < 0.02:
            break
    points = [
        as_point(number, random.random(QUESTIONS) < chances)
        for number in range(random.integers(1, POINTS))
    ]
    return [*points, as_point(len(points), random.random(QUESTIONS) < kept * chances)]


def alarms(points: list[Point], number: int) -> bool:
    """Whether the point with this *number* alarms."""
    found = drop(points[number], points[:number], number)
    return found is not None and found.significant


def play(seed: int) -> dict[str, Any]:
    """Play one seed; return its line. Only all seeds together are sound or not."""
    random = np.random.default_rng(seed)
    counted: Counter[str] = Counter()
    for _ in range(CURVES):
        points = flat(random)
        counted["flat"] += 1
        counted["false alarms"] += any(alarms(points, n) for n in range(1, POINTS))
        points = dropping(random)
        counted["drops"] += 1
        counted["found"] += alarms(points, len(points) - 1)
    return {"seed": seed, **counted, "problems": []}


def problems_of(counted: Counter[str]) -> list[str]:
    """Return what is not sound in the counts of all seeds."""
    found = []
    false, flat_ones = counted["false alarms"], counted["flat"]
    if stats.binomtest(false, flat_ones, FALSE, alternative="greater").pvalue < CHANCE:
        found.append(f"{false} of {flat_ones} flat curves alarm")
    hits, drops = counted["found"], counted["drops"]
    if stats.binomtest(hits, drops, FOUND, alternative="less").pvalue < CHANCE:
        found.append(f"only {hits} of {drops} drops are found")
    return found


def main() -> int:
    """Play seeds; return 1 if all seeds together are not sound."""
    given = seeds.parser(__doc__).parse_args()
    code = seeds.one_by_one(given, RESULTS, play, "seeds")
    if given.seed is not None:
        return code
    counted: Counter[str] = Counter()
    for text in RESULTS.read_text().splitlines():
        entry = json.loads(text)
        counted.update({key: entry[key] for key in ("flat", "false alarms", "drops", "found")})
    found = problems_of(counted)
    print(f"all seeds: {dict(counted)}", *found, sep="\n")
    return 1 if found else code


if __name__ == "__main__":
    sys.exit(main())
