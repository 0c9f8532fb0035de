"""Measure planning: `snakemake -n` of a matrix against a bare Snakefile with one wildcard rule.

    python benchmarks/plan.py [100 1000 10000] [--repeat 3]

Both plan the same number of jobs with the same settings, in turns. Time is CPU time (user + system)
of the whole process, and memory is its peak resident size. The ratio compares the smallest of each.
`listed` prints the whole plan; `quiet` (`-q`) omits the listing.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

from snakeval.config.load import load
from snakeval.evaluation.record import Completion, now
from snakeval.matrix.expand import expand
from snakeval.run.find import find
from snakeval.run.plan import Planned

REPOSITORY = Path(__file__).resolve().parents[1]
BARE = """
names = range({side})

rule all:
    input:
        expand("out/m{{model}}/b{{benchmark}}/evaluation.json", model=names, benchmark=names)

rule evaluate:
    output:
        "out/m{{model}}/b{{benchmark}}/evaluation.json"
    shell:
        "touch {{output}}"
"""
SETTINGS = [
    "--cores", "1", "--keep-going", "--keep-incomplete", "--nolock", "--scheduler", "greedy",
    "--rerun-triggers", "mtime", "params", "input", "software-env",
]  # fmt: skip


class Cost(NamedTuple):
    """CPU seconds and peak resident MiB of one process."""

    seconds: float
    mib: float


def cost(command: list[str], directory: Path) -> Cost:
    environment = os.environ | {"SNAKEVAL_HOME": str(directory / "home")}
    with (directory / "output").open("wb") as output:
        child = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{(directory / 'output').read_text()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def make_bare(directory: Path, side: int) -> list[str]:
    (directory / "Snakefile").write_text(BARE.format(side=side))
    return [sys.executable, "-m", "snakemake", "-n", *SETTINGS]


def finish_bare(directory: Path, side: int) -> None:
    for model in range(side):
        for benchmark in range(side):
            file = directory / f"out/m{model}/b{benchmark}/evaluation.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()


def make_ours(directory: Path, side: int) -> list[str]:
    endpoint = {"url": "http://127.0.0.1:1/v1", "model_id": "m"}
    command = {"command": "true", "metrics": {"file": "r.json", "values": {"score": "score"}}}
    config = {
        "models": {f"m{i}": {"endpoint": endpoint} for i in range(side)},
        "benchmarks": {f"b{i}": {"harness": "generic", **command} for i in range(side)},
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    return [
        sys.executable, "-m", "snakemake", "-n", "--snakefile", str(REPOSITORY / "Snakefile"),
        "--profile", str(REPOSITORY / "profiles/local"), "--configfile", "config.yaml", *SETTINGS,
    ]  # fmt: skip


def finish_ours(directory: Path) -> None:
    """Create the files of finished evaluations, without running them."""
    config, _, _ = load([directory / "config.yaml"])
    config = config.model_copy(update={"output_dir": str(directory / config.output_dir)})
    found = find(config, files=[directory / "config.yaml"])
    found.start()
    run = found.directory
    evaluations = expand(config)
    run.write_plan([Planned(e.model, e.benchmark, e.fingerprint) for e in evaluations])
    for evaluation in evaluations:
        run.evaluation(evaluation.id).complete(
            Completion(
                evaluation.model, evaluation.benchmark, evaluation.fingerprint,
                evaluation.identity.as_dict(), (), "generic", 1, now(), now(), 0.0, 1,
                "process", "", "", "", {},
            )
        )  # fmt: skip
    for table in run.tables:
        table.touch()


def compare(side: int, repeat: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directories = Path(name, "bare"), Path(name, "ours")
        for directory in directories:
            directory.mkdir()
        bare, ours = make_bare(directories[0], side), make_ours(directories[1], side)
        for state in ("first", "finished"):
            if state == "finished":
                finish_bare(directories[0], side)
                finish_ours(directories[1])
            for listing in ("listed", "quiet"):
                flags = ["-q"] if listing == "quiet" else []
                best = [Cost(math.inf, math.inf)] * 2
                for _ in range(repeat):
                    for i, command in enumerate((bare, ours)):
                        best[i] = Cost(*map(min, best[i], cost([*command, *flags], directories[i])))
                (bare_s, bare_mib), (ours_s, ours_mib) = best
                print(
                    f"{side * side:>11,} {state:>9} {listing:>7}"
                    f" {bare_s:8.2f} {ours_s:8.2f} {ours_s / bare_s:7.2f}"
                    f" {bare_mib:9.0f} {ours_mib:9.0f} {ours_mib / bare_mib:7.2f}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[100, 1000, 10000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print("evaluations     state    plan   bare s   this s   ratio  bare MiB  this MiB   ratio")
    for size in options.sizes:
        compare(round(size**0.5), options.repeat)


if __name__ == "__main__":
    main()
