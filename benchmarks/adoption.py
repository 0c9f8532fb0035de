"""Compare the reuse of finished evaluations (`--forceall`) with a bare Snakefile.

    python benchmarks/adoption.py [200] [--repeat 3]

Both run the same number of jobs, one at a time. The jobs of the bare Snakefile are `true`. The
difference is the cost of reuse: a Python process that checks a record against its artifacts.
Times are wall time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
BARE = """
rule all:
    input:
        expand("{{n}}.json", n=range({count}))

rule evaluate:
    output:
        "{{n}}.json"
    shell:
        "true && touch {{output}}"
"""


def config(count: int) -> dict[str, object]:
    score = {"file": "score.json", "values": {"score": "score"}}
    command = "echo '{\"score\": 1}' > {{ results }}/score.json"
    benchmark = {"harness": "generic", "command": command, "metrics": score}
    server = "python3 -m snakeval.demo.server --host {{ host }} --port {{ port }} --models careful"
    return {
        "runtime": "process",
        "models": {"careful": {"deployment": {"kind": "generic", "command": server}}},
        "benchmarks": {f"b{number}": benchmark for number in range(count)},
    }


def seconds(directory: Path, *options: str) -> float:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", *options]
    environment = os.environ | {"SNAKEVAL_HOME": str(directory / "home")}
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "config.yaml").write_text(yaml.safe_dump(config(options.count)))
        (directory / "Bare").write_text(BARE.format(count=options.count))
        ours = ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "config.yaml"]
        bare = ["--snakefile", "Bare"]
        seconds(directory, *ours)
        seconds(directory, *bare)
        times = {
            name: min(seconds(directory, *what, "--forceall") for _ in range(options.repeat))
            for name, what in (("adoption", ours), ("bare", bare))
        }
    each = (times["adoption"] - times["bare"]) / options.count
    print(f"{options.count} finished evaluations, --forceall, one job at a time")
    print(f"adoption {times['adoption']:.1f} s, bare {times['bare']:.1f} s", end="; ")
    print(f"ratio {times['adoption'] / times['bare']:.2f}; {1000 * each:.0f} ms an evaluation")


if __name__ == "__main__":
    main()
