"""Plays the next seeds of a campaign, one after the other, and appends their results.

A line of a campaign's file of results is a block of seeds, so that a campaign resumes by seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any


def options(description: str | None, commands: str) -> argparse.Namespace:
    """Read the command line; *commands* says what ``--commands`` gives."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=0, help="begin no seed after so long")
    parser.add_argument("--count", type=int, default=0, help="play so many seeds")
    parser.add_argument("--seed", type=int, help="play this one, print everything, append nothing")
    parser.add_argument("--first", type=int, help="begin with this seed, not with the next one")
    parser.add_argument("--commands", action="store_true", help=commands)
    return parser.parse_args()


def campaign(
    given: argparse.Namespace,
    results: Path,
    play: Callable[[int], tuple[str, list[str]]],
    noun: str,
    sum_up: Callable[[Counter[str]], tuple[dict[str, Any], list[str]]] | None = None,
) -> int:
    """Play seeds as *given*, and append a line to *results*; return 1 if one was not sound.

    *play* returns what a seed is counted as, and what was not sound. *sum_up* returns fields of the
    line from all counts, and what is not sound of the seeds together.
    """
    kind = "by command" if given.commands else "in process"
    first = seed = _next_seed(results, kind) if given.first is None else given.first
    unsound: list[str] = []
    counted: Counter[str] = Counter()
    began = time.monotonic()
    while True:
        name, problems = play(seed)
        counted[name] += 1
        for problem in problems:
            print(problem, flush=True)
            unsound.append(problem)
        seed += 1
        enough = given.count and seed - first >= given.count
        if enough or (given.seconds and time.monotonic() - began > given.seconds):
            break
    fields, together = sum_up(counted) if sum_up else ({}, [])
    unsound += together
    result = {
        "kind": kind,
        "from": first,
        "to": seed - 1,
        "seconds": round(time.monotonic() - began, 1),
        **fields,
        "problems": unsound[:50],
    }
    with results.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(f"{seed - first} {noun}, {len(unsound)} problems; {fields or dict(counted)}")
    return 1 if unsound else 0


def _next_seed(results: Path, kind: str) -> int:
    """Return the seed after the last that the file of results has of a kind."""
    if not results.exists():
        return 0
    lines = (json.loads(line) for line in results.open())
    return 1 + max((line["to"] for line in lines if line["kind"] == kind), default=-1)
