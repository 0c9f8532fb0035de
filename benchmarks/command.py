"""Measure the start-up of the command: `snakeval …` against `python -c pass`.

    python benchmarks/command.py [--repeat 5] [--evaluations 10000]

Commands alternate with `python -c pass`. Times are wall time of the whole process, the smallest of
each. `status` reads a generated run: nine tenths are done, the rest failed or pending.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from plan import finish_ours, make_ours

from snakeval.config.load import load
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.run.index import Entry, remember
from snakeval.run.plan import Planned

SNAKEVAL = [sys.executable, "-m", "snakeval"]
#: Command -> the seconds that it may take in addition to `python -c pass`.
TARGETS = {"--help": 0.3, "--version": 0.3, "ls tasks": 0.3, "status": 2.0}


def make_run(directory: Path, evaluations: int) -> str:
    """Create the files of a run with this many evaluations; return its id."""
    make_ours(directory, round(evaluations**0.5))
    finish_ours(directory)
    config, _, _ = load([directory / "config.yaml"])
    planned = expand(config)
    (path,) = (directory / config.output_dir).iterdir()
    place = RunDirectory(path)
    for number, evaluation in enumerate(planned):
        files = place.evaluation(evaluation.id)
        files.spec.write_text(evaluation.to_json())
        if number % 10 == 0:
            files.record(evaluation.fingerprint).unlink()
            files.published.unlink()
            if number % 20 == 0:
                files.fail("the harness exited with 1")
    place.write_plan([Planned(e.model, e.benchmark, e.fingerprint) for e in planned])
    place.write_origin({})
    remember(Entry(place.id, config.name, str(place), str(directory), ("snakemake",), "benchmark"))
    return place.id


def seconds(command: list[str], directory: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=10_000)
    options = parser.parse_args()
    slow = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.environ["SNAKEVAL_HOME"] = str(directory / "home")
        run = make_run(directory, options.evaluations)
        print("command       seconds  python -c pass   ratio    more  at most")
        for words, most in TARGETS.items():
            command = [*SNAKEVAL, *words.split(), *([run] if words == "status" else [])]
            best = [math.inf, math.inf]
            for _ in range(options.repeat):
                for number, each in enumerate(([sys.executable, "-c", "pass"], command)):
                    best[number] = min(best[number], seconds(each, directory))
            bare, ours = best
            slow += ours - bare > most
            print(
                f"{words:<12} {ours:8.3f} {bare:15.3f} {ours / bare:7.1f} {ours - bare:7.3f}"
                f" {most:8.1f}",
                flush=True,
            )
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
