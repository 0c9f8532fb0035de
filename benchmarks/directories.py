"""Asking the directories of a run whether each evaluation is complete, against the bare minimum.

    python benchmarks/directories.py [10000] [--repeat 9]

The bare minimum reads each record with ``json.loads`` and looks at each of its files with
``os.stat``, with texts for paths. ``complete`` asks an ``EvaluationDirectory`` the same. ``make``
only makes the objects. Time is CPU time of this process; all three run in turns, and the ratios
are medians over the repetitions.
"""

# ruff: noqa: PTH116, PTH123

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakeval.evaluation.record import Completion, Metric, now
from snakeval.run.directory import RunDirectory

FINGERPRINT = "a" * 64
#: Files of an evaluation's manifest.
FILES = 10


def make_run(root: Path, number: int) -> list[str]:
    """Make a run of *number* finished evaluations; return their names."""
    run = RunDirectory(root)
    names = [f"m{index // 100}/b{index % 100}" for index in range(number)]
    manifest: tuple[dict[str, Any], ...] = tuple(
        {"path": f"task/samples_{index}.jsonl", "size": index, "sha256": "0" * 64}
        for index in range(FILES)
    )
    for name in names:
        directory = run.evaluation(name)
        metrics = (Metric("t", "acc", 0.5, stderr=0.1, n=100),) * 4
        record = Completion(
            model="m", benchmark="b", fingerprint=FINGERPRINT, identity={"params": {}},
            metrics=metrics, adapter="generic", parser_version=1, started=now(), finished=now(),
            seconds=1.0, attempt=1, runtime="process", image="", image_digest="", host="h",
            versions={}, manifest=manifest,
        )  # fmt: skip
        folder = directory.artifacts / "task"
        folder.mkdir(parents=True)
        for entry in manifest:
            (directory.artifacts / str(entry["path"])).write_bytes(b"x" * int(str(entry["size"])))
        directory.private.mkdir()
        directory.record(FINGERPRINT).write_text(record.to_json())
    return names


def bare(root: str, names: list[str]) -> int:
    done = 0
    for name in names:
        with open(f"{root}/{name}/.snakeval/completion-{FINGERPRINT[:16]}.json", "rb") as file:
            record = json.loads(file.read())
        done += record["fingerprint"] == FINGERPRINT and all(
            os.stat(f"{root}/{name}/artifacts/{entry['path']}").st_size == entry["size"]
            for entry in record["manifest"]
        )
    return done


def complete(root: str, names: list[str]) -> int:
    run = RunDirectory(root)
    return sum(run.evaluation(name).why_incomplete(FINGERPRINT) is None for name in names)


def make(root: str, names: list[str]) -> int:
    run = RunDirectory(root)
    return sum(run.evaluation(name) is not None for name in names)


def seconds(work: Callable[[str, list[str]], int], root: str, names: list[str]) -> float:
    """Return the CPU time of *work*, which must find all of *names*."""
    began = time.process_time()
    found = work(root, names)
    took = time.process_time() - began
    assert found == len(names), f"{work.__name__} found {found} of {len(names)}"
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=10_000)
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        names = make_run(Path(place), options.number)
        for work in (bare, complete, make):  # the first reading warms the caches
            seconds(work, place, names)
        rounds = [
            {work: seconds(work, place, names) for work in (bare, complete, make)}
            for _ in range(options.repeat)
        ]
    print(f"{options.number} evaluations with {FILES} files each, {options.repeat} repetitions")
    for work in (bare, complete, make):
        median = statistics.median(took[work] for took in rounds)
        ratio = statistics.median(took[work] / took[bare] for took in rounds)
        print(f"{work.__name__:<9} {median * 1000:8.1f} ms  {ratio:5.3f} of bare")


if __name__ == "__main__":
    main()
