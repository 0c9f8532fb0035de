"""The messages of alarms: complete sentences with what to look at next."""

from __future__ import annotations

from dataclasses import replace

from snakeval.results.alarms import words
from snakeval.results.alarms.decide import Spot
from snakeval.results.curves.points import Curve, Figure, Place, Point
from snakeval.results.statistics import drops
from snakeval.results.statistics.drops import Drop
from snakeval.results.statistics.intervals import Interval

POINT = Point("run7@3000", "3000", "done", 0.512, 0.48, 0.54, n=1000)
SPOT = Spot(POINT, 0.512, "f3")
CURVE = Curve("run7 lr=2", (POINT,))
FIGURE = Figure("gsm8k", "gsm8k", "exact_match", "strict", "step", (CURVE,))
BEST = tuple(
    drops.Point(f"run7@{step}", value, Interval())
    for step, value in ((2000, 0.64), (1800, 0.63), (2600, 0.62))
)
FOUND = Drop(0.118, BEST, significant=True, p=3.2e-7, level=1e-4, detectable=0.0571)


def test_a_drop_says_from_what_to_what_and_which_drop_shows() -> None:
    found = words.of_drop("8b1a", FIGURE, CURVE, SPOT, FOUND)
    assert found["text"] == (
        "run7@3000 dropped on gsm8k: exact_match (strict) is 0.512, and 0.630 is the mean of the "
        "best 3 before it (run7@2000 0.640, run7@1800 0.630, run7@2600 0.620). The drop is "
        "0.118. Checkpoints of equal quality differ this much with a chance of 1 in 3,100,000 "
        "(samples compared one by one; the limit is 1 in 10,000, so that at most 2 % of curves "
        "without a drop alarm). This benchmark with 1,000 samples shows a drop of 0.057 or more "
        "at this limit, in 4 of 5 cases. Next: `snakeval curve 8b1a/run7 -t gsm8k`"
    )
    assert (found["kind"], found["step"], found["drop"], found["n"]) == (
        "drop",
        "3000",
        0.118,
        1000,
    )
    assert found["best"][0] == {"model": "run7@2000", "value": 0.64}


def test_a_drop_without_samples_says_so() -> None:
    found = words.of_drop(
        "8b1a", FIGURE, CURVE, SPOT, replace(FOUND, paired=False, detectable=None, best=BEST[:1])
    )
    assert "intervals compared" in found["text"]
    assert "the mean of the best before it (run7@2000 0.640)" in found["text"]
    assert "4 of 5" not in found["text"]


def test_a_threshold_has_its_interval() -> None:
    found = words.of_reached("8b1a", FIGURE, CURVE, SPOT, 0.5)
    assert found["text"] == (
        "run7@3000 reached 0.500 on gsm8k: exact_match (strict) is 0.512 "
        "(95 %: 0.480 – 0.540). Next: `snakeval curve 8b1a/run7 -t gsm8k`"
    )
    assert found["threshold"] == 0.5


def test_a_failure_has_its_reason_and_its_logs() -> None:
    row = {"model": "run7@3000", "benchmark": "gsm8k", "reason": "out of memory\x1b[2J"}
    found = words.of_failure("8b1a", row, Place("run7", "3000"))
    assert found["text"].startswith("run7@3000 failed on gsm8k: out of memory")
    assert "\x1b" not in found["text"]
    assert found["text"].endswith("Next: snakeval logs 8b1a/run7@3000/gsm8k")
    assert (found["series"], found["step"]) == ("run7", "3000")
    assert "step" not in words.of_failure("8b1a", row, None)


def test_a_silence_says_how_long_and_after_what() -> None:
    found = words.of_silence("8b1a", "run7", "run7@3000", 5400.0)
    assert found["text"].startswith(
        "run7 has had no new checkpoint for 1 h 30 min; run7@3000 is the newest. Next: "
    )
    assert "newest" not in words.of_silence("8b1a", "run7", "", 60.0)["text"]
