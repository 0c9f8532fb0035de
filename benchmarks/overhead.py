"""Measure the overhead of one evaluation: trivial containers against bare `docker run`.

    python benchmarks/overhead.py [--evaluations 20] [--image IMAGE]

Both run the same command in the same image, one container at a time. An empty second run measures
the fixed cost of Snakemake (start, planning, table), which is printed separately. The rest is the
overhead of each evaluation. The image requires `sh`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = """echo '{"score": 1}' > %s/result.json"""


def seconds(command: list[str], directory: Path) -> float:
    environment = os.environ | {"SNAKEVAL_HOME": str(directory / "home")}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


def bare(image: str, directory: Path, number: int) -> float:
    results = directory / "bare" / str(number)
    results.mkdir(parents=True)
    return seconds(
        ["docker", "run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}",
         "--volume", f"{results}:/results", image, "sh", "-c", COMMAND % "/results"],
        directory,
    )  # fmt: skip


def snakeval(image: str, directory: Path, evaluations: int) -> tuple[float, float]:
    """Return the seconds of a run, and of the same command on the finished run."""
    config = {
        "runtime": "docker",
        "models": {"m": {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}},
        "benchmarks": {
            f"b{i}": {
                "harness": "generic",
                "image": image,
                "command": COMMAND % "{{ results }}",
                "metrics": {"file": "result.json", "values": {"score": "score"}},
            }
            for i in range(evaluations)
        },
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"),
        "--profile", str(REPOSITORY / "profiles/local"), "--configfile", "config.yaml",
        "--cores", "1",
    ]  # fmt: skip
    return seconds(command, directory), seconds(command, directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--image", default="snakeval-testbed/busybox:latest")
    options = parser.parse_args()
    count = options.evaluations
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bare(options.image, directory, 0)  # the engine's first container of an image is slower
        containers = [bare(options.image, directory, i + 1) for i in range(count)]
        once, empty = 0.0, 0.0
        once, empty = snakeval(options.image, directory, count)
    plain = sum(containers)
    print(f"{count} containers by docker run  {plain:7.2f} s  {plain / count:.3f} s each")
    print(f"{count} evaluations by snakeval   {once:7.2f} s  (nothing to do: {empty:.2f} s)")
    each = (once - plain) / count
    print(f"overhead per evaluation   {each:7.3f} s  all of Snakemake's own included")
    print(f"                          {(once - empty - plain) / count:7.3f} s  without its start")
    print(f"ratio to docker run       {once / plain:7.2f}")
    print(f"median docker run         {statistics.median(containers):7.3f} s")


if __name__ == "__main__":
    main()
