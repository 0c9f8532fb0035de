"""Prints requests a minute and the head's memory for a run of 1,000 jobs: both shall be flat.

``python tests/thousand.py [JOBS]``. No test: it takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from standin import StandIn

RULES = """
rule all:
    input: expand("{{n}}", n=range({jobs}))
rule one:
    output: "{{n}}"
    shell: "sleep 20; echo 1 >{{output}}"
"""


def _memory(pid: int) -> int:
    """Return the resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def main(jobs: int) -> None:
    with StandIn("process") as lepton, tempfile.TemporaryDirectory() as directory:
        lepton.workspace.capacity = 100
        Path(directory, "Snakefile").write_text(RULES.format(jobs=jobs))
        words = [
            sys.executable, "-m", "snakemake", "--executor", "lepton", "--jobs", str(jobs),
            "--lepton-image", "any/image", "--scheduler", "greedy", "--quiet",
            "--seconds-between-status-checks", "10",
        ]  # fmt: skip
        env = {**os.environ, **lepton.environment}
        started = time.time()
        with Path(directory, "log").open("w") as log:
            head = subprocess.Popen(words, cwd=directory, env=env, stdout=log, stderr=log)
            print("minute  jobs done  lists  other requests  memory MB")
            minute = 0
            while head.poll() is None:
                time.sleep(0.5)
                if time.time() - started > 60 * (minute + 1) and head.poll() is None:
                    begin = started + 60 * minute
                    asked = Counter(
                        "list" if request.startswith("GET /jobs?") else "other"
                        for at, request in list(lepton.requests)
                        if begin <= at < begin + 60
                    )
                    done = sum(job.archived for job in lepton.jobs)
                    print(
                        f"{minute + 1:6}  {done:9}  {asked['list']:5}  {asked['other']:14}"
                        f"  {_memory(head.pid):9}",
                        flush=True,
                    )
                    minute += 1
        kinds = Counter(request.split("?")[0].split("/")[0:2][0] + request.split("/")[1][:5]
                        for _, request in lepton.requests)  # fmt: skip
        print(f"exit code {head.returncode} after {time.time() - started:.0f} s; ", end="")
        print(f"{len(lepton.requests)} requests for {jobs} jobs, {len(lepton.alive)} jobs left")
        print(dict(kinds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
