"""Measure time and memory of the table and the report of a run with many samples.

    python benchmarks/report.py [--samples 1000000]

The run has two models and one benchmark. Each step is a separate process. As after a run, the
report reuses the intervals of the table. Memory is the peak resident size.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from snakeval.config.load import load
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Completion, now
from snakeval.harnesses.reading import read_metrics
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

BENCHMARK = {
    "harness": "generic",
    "command": "true",
    "metrics": {
        "file": "f.json",
        "values": {"accuracy": "accuracy"},
        "samples": {
            "file": "samples.jsonl",
            "id": "id",
            "scores": {"accuracy": "right"},
            "question": "question",
            "answer": "answer",
            "reference": "reference",
        },
    },
}


IMPORT = "from snakeval.run.directory import RunDirectory"


def make(directory: Path, samples: int) -> RunDirectory:
    """Create a run of finished evaluations with this many samples in total."""
    models: dict[str, Any] = {
        name: {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": name}}
        for name in ("one", "two")
    }
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({"models": models, "benchmarks": {"b": BENCHMARK}}))
    evaluations = expand(load([file])[0])
    run = RunDirectory(directory / "2026-01-01-00-00-00-0123abcd")
    plan = [Planned(e.model, e.benchmark, e.fingerprint) for e in evaluations]
    run.write_plan(plan)
    for seed, evaluation in enumerate(evaluations):
        finish(run, evaluation, samples // len(evaluations), random.Random(seed))
    return run


def finish(run: RunDirectory, evaluation: Evaluation, samples: int, chance: random.Random) -> None:
    """Write the files that a harness and its job leave behind."""
    place = run.evaluation(evaluation.id)
    place.artifacts.mkdir(parents=True)
    place.logs.mkdir()
    place.define(evaluation)
    right = 0
    with (place.artifacts / "samples.jsonl").open("w") as file:
        for number in range(samples):
            answer = number + (chance.random() < 0.3)
            right += answer == number
            item = {
                "id": f"q{number}",
                "question": f"What is {number} + 0? Answer with the number only.",
                "answer": str(answer),
                "reference": str(number),
                "right": answer == number,
            }
            file.write(json.dumps(item) + "\n")
    (place.artifacts / "f.json").write_text(json.dumps({"accuracy": right / samples}))
    place.complete(
        Completion(
            model=evaluation.model, benchmark=evaluation.benchmark,
            fingerprint=evaluation.fingerprint, identity=evaluation.identity.as_dict(),
            metrics=read_metrics(evaluation, place.artifacts), adapter="generic", parser_version=1,
            started=now(), finished=now(), seconds=1.0, attempt=1, runtime="process", image="",
            image_digest="", host="h", versions={}, manifest=place.manifest(),
        )
    )  # fmt: skip


def main() -> None:
    """Print the time and the memory of each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = make(Path(name), options.samples)
        print(f"{options.samples:,} samples")
        for step, code in (
            ("table", "from snakeval.results.table import table as make"),
            ("report", "from snakeval.results.report import write as make"),
        ):
            started = time.monotonic()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"{code}\n{IMPORT}\nmake(RunDirectory({str(run)!r}))",
                ]
            )
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{step}: failed")
            seconds = time.monotonic() - started
            cpu = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss / 1024
            print(f"{step:<8}{seconds:6.1f} s, of CPU {cpu:5.1f} s, {peak:5.0f} MiB")
        size = run.report.stat().st_size / 2**20
        print(f"report.html {size:.1f} MiB, loads none of the samples when it opens")


if __name__ == "__main__":
    main()
