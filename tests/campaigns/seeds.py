"""Plays the next seeds of a campaign, one after the other, and appends their results.

A line of a campaign's file of results is a block of seeds, or one seed if each takes seconds. A
campaign resumes after the last seed of the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that all campaigns have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--seconds", type=float, default=0, help="begin no seed after so long")
    made.add_argument("--count", type=int, default=0, help="play so many seeds")
    made.add_argument("--seed", type=int, help="play this one, print everything, append nothing")
    made.add_argument("--first", type=int, help="begin with this seed, not with the next one")
    return made


def options(description: str | None, commands: str) -> argparse.Namespace:
    """Read the command line; *commands* says what ``--commands`` gives."""
    made = parser(description)
    made.add_argument("--commands", action="store_true", help=commands)
    return made.parse_args()


def campaign(
    given: argparse.Namespace,
    results: Path,
    play: Callable[[int], tuple[str, list[str]]],
    noun: str,
    sum_up: Callable[[Counter[str]], tuple[dict[str, Any], list[str]]] | None = None,
    kind: str = "",
) -> int:
    """Play seeds as *given*, and append a line to *results*; return 1 if one was not sound.

    *play* returns what a seed is counted as, and what was not sound. *sum_up* returns fields of the
    line from all counts, and what is not sound of the seeds together. *kind* is that of the line.
    """
    kind = kind or ("by command" if given.commands else "in process")
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


def one_by_one(
    given: argparse.Namespace,
    results: Path,
    play: Callable[[int], dict[str, Any]],
    noun: str,
) -> int:
    """Play seeds as *given*, and append a line for each to *results*.

    *play* returns the line. Return 1 if the ``problems`` of one say that it was not sound.
    """
    if given.seed is not None:
        result = play(given.seed)
        print(json.dumps(result))
        return 1 if result["problems"] else 0
    seed = given.first
    if seed is None:
        lines = results.read_text().splitlines() if results.exists() else []
        seed = 1 + max((json.loads(line)["seed"] for line in lines), default=-1)
    played = unsound = 0
    began = time.monotonic()
    while True:
        result = play(seed)
        print(json.dumps(result), flush=True)
        with results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        seed, played, unsound = seed + 1, played + 1, unsound + bool(result["problems"])
        enough = given.count and played >= given.count
        if enough or (given.seconds and time.monotonic() - began > given.seconds):
            break
    print(f"{played} {noun}, {unsound} not sound")
    return 1 if unsound else 0


def _next_seed(results: Path, kind: str) -> int:
    """Return the seed after the last that the file of results has of a kind."""
    if not results.exists():
        return 0
    lines = (json.loads(line) for line in results.open())
    return 1 + max((line["to"] for line in lines if line["kind"] == kind), default=-1)
