"""Measure Snakemake on Slurm: trivial evaluations through the profile against bare `sbatch`.

    python benchmarks/slurm.py [--evaluations 16] [--profile profiles/slurm] [--option ...]

The same command runs as Slurm jobs in three ways: one array with `sbatch --wait`, the profile
`profiles/slurm`, whose jobs are the evaluations themselves (direct), and the profile with a
Snakemake in each job, the default of executors. The phases come from the accounting (whole seconds)
and from the completion records. `tests/testbed/slurm.sh start` starts a cluster of four nodes on
one machine. The nodes share its cores, so compare CPU seconds there, not nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = """echo '{"score": 1}' > %s/result.json"""
#: Seconds until the accounting records the end of a job.
_ACCOUNTING_SECONDS = 30


@dataclass
class Job:
    """A Slurm job in the accounting; times are seconds since the epoch, CPU is in seconds."""

    submitted: float
    started: float
    ended: float
    cpu: float


def run(command: list[str], directory: Path) -> str:
    environment = os.environ | {"SNAKEVAL_HOME": str(directory / "home")}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout


def bare(directory: Path, count: int) -> None:
    for number in range(count):
        (directory / str(number)).mkdir()
    script = "#!/bin/sh\n" + COMMAND % f"{directory}/$SLURM_ARRAY_TASK_ID"
    (directory / "job.sh").write_text(script)
    run(["sbatch", "--wait", f"--array=0-{count - 1}", "--output=%a/log", "job.sh"], directory)


def snakeval(directory: Path, count: int, profile: str, options: list[str]) -> None:
    config = {
        "runtime": "process",
        "models": {"m": {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}},
        "benchmarks": {
            f"b{number}": {
                "harness": "generic",
                "command": COMMAND % "{{ results }}",
                "metrics": {"file": "result.json", "values": {"score": "score"}},
            }
            for number in range(count)
        },
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"),
         "--profile", profile, "--configfile", "config.yaml", *options],
        directory,
    )  # fmt: skip


def jobs(directory: Path) -> list[Job]:
    """Return the jobs of a working directory as soon as the accounting has all of them."""
    count = len(list(directory.glob(".snakemake/slurm_logs/**/*.log")))
    # Without -X, which would omit the CPU time of the steps.
    fields = "WorkDir,Submit,Start,End,TotalCPU"
    command = ["sacct", "-n", "-P", "-S", "now-1hours", "-o", fields]
    until = time.monotonic() + _ACCOUNTING_SECONDS
    while True:
        rows = [line.split("|") for line in run(command, directory).splitlines()]
        mine = [row for row in rows if row[0] == str(directory)]
        if len(mine) >= count and all(row[3] != "Unknown" for row in mine):
            return [Job(*map(_moment, row[1:4]), cpu=_seconds(row[4])) for row in mine]
        if time.monotonic() > until:
            sys.exit(f"the accounting knows {len(mine)} of {count} jobs; is slurmdbd there?")
        time.sleep(1)


def nested(profile: str, directory: Path) -> str:
    """Return a copy of *profile* that starts a Snakemake in each job."""
    keys = yaml.safe_load((Path(profile) / "config.yaml").read_text())
    del keys["slurm-resume-direct"]
    (directory / "config.yaml").write_text(yaml.safe_dump(keys))
    return str(directory)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _seconds(text: str) -> float:
    """Read a duration: ``[hours:]minutes:seconds``."""
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total


def report(directory: Path, began: float, ended: float) -> None:
    """Print the phases of the time from *began* to *ended*."""
    found = jobs(directory)
    records = [json.loads(p.read_text()) for p in directory.glob("results/*/*/*/evaluation.json")]
    harness = mean(record["seconds"] for record in records)
    submitted = [job.submitted for job in found]
    last = max(job.ended for job in found)
    print(f"  {min(submitted) - began:6.1f} s  until the first submission: reading, planning")
    print(f"  {max(submitted) - min(submitted):6.1f} s  until the last one was")
    print(f"  {last - max(submitted):6.1f} s  until the last one had ended")
    print(f"  {ended - last:6.1f} s  until Snakemake noticed it and wrote the table")
    waited = mean(job.started - job.submitted for job in found)
    took = mean(job.ended - job.started for job in found)
    cpu = mean(job.cpu for job in found)
    print(
        f"  {len(found)} jobs: each waited {waited:.1f} s and took {took:.1f} s, {cpu:.1f} s of CPU"
    )
    print(f"  a harness took {harness:.2f} s of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=16)
    parser.add_argument("--profile", default=str(REPOSITORY / "profiles/slurm"))
    parser.add_argument(
        "--option", action="append", default=[], help="another option for snakemake, as --option=X"
    )
    options = parser.parse_args()
    count = options.evaluations
    # Not /tmp, because every node has its own.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".slurm-benchmark-") as name:
        bare_directory, profile_directory = Path(name) / "bare", Path(name) / "profile"
        bare_directory.mkdir()
        profile_directory.mkdir()
        began = time.time()
        bare(bare_directory, count)
        plain = time.time() - began
        print(f"{os.cpu_count()} cores here")
        print(f"{count} jobs of one sbatch array     {plain:6.1f} s")
        profiles = {
            "direct": options.profile,
            "nested": nested(options.profile, profile_directory),
        }
        for which, profile in profiles.items():
            directory = Path(name) / which
            directory.mkdir()
            began = time.time()
            snakeval(directory, count, profile, options.option)
            ended = time.time()
            through = ended - began
            ratio = through / plain
            print(f"{count} evaluations, {which}         {through:6.1f} s  ratio {ratio:.1f}")
            report(directory, began, ended)


if __name__ == "__main__":
    main()
