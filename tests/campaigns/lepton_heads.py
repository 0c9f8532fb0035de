"""A campaign of two heads on Lepton: both are killed, and the same command completes the run.

Each seed is one run of six evaluations on two models, which Lepton's stand-in serves. Two
Snakemakes start in one directory. Each is killed at a moment that comes from the seed: a number of
requests that the stand-in has had by then, and a part of a second. Afterwards the same command is
given until it ends with 0. The run is sound if

* the stand-in has had as many jobs as there are evaluations, and each harness ran once,
* all scores are there, and all are right (the true score is always 1),
* no job, endpoint, secret or traceback of snakeval is left,
* three commands after the pair were enough.

``python tests/campaigns/lepton_heads.py --pairs 10`` plays the next seeds of
``lepton_heads.jsonl`` and appends their results; ``--seed N`` plays one again and prints all that
happened. It ends with 1 if a run is not sound. Needs root, as each job mounts its own results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    repository = HERE.parents[1]
    plugin = repository / "workflow" / "snakemake-executor-plugin-lepton" / "tests"
    sys.path[:0] = [str(HERE.parent), str(plugin)]

from standin import StandIn  # noqa: E402

from campaigns.faults import of_snakeval  # noqa: E402
from support.lepton import free_port  # noqa: E402
from support.lepton_runner import PrivateRunner  # noqa: E402
from support.on_lepton import OnLepton  # noqa: E402

RESULTS = HERE / "lepton_heads.jsonl"
MODELS = ("m", "n")
BENCHMARKS = ("a", "b", "c")
QUESTIONS = 8
#: Both heads are killed before the stand-in has had so many requests; a run sends about 110, and
#: more with two heads. A late kill meets a head that collects what the other one also waits for.
REQUESTS = 160


@dataclass
class Pair:
    """A run with two heads."""

    seed: int
    place: Path
    lepton: StandIn
    said: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    commands: int = 0

    def __post_init__(self) -> None:
        self.log = self.place / "log"
        self.log.touch()
        self.work = OnLepton.below(self.place, **self.config())
        self.work.standin = self.lepton

    def config(self) -> dict[str, Any]:
        part = f"{sys.executable} {HERE / 'parts.py'}"
        models = {
            name: {
                "deployment": {
                    "kind": "generic",
                    "image": "any/image",
                    "port": free_port(),
                    "command": f"exec {part} server 127.0.0.1 {{{{ port }}}} "
                    f"{{{{ served_model_name }}}} {self.log}",
                    "served_model_name": name,
                }
            }
            for name in MODELS
        }
        asks = f"{part} harness {{{{ url }}}} {{{{ results }}}} {self.log} {{{{ model_id }}}}"
        benchmark = {
            "harness": "generic",
            "image": "any/image",
            "metrics": {"file": "score.json", "values": {"score": "score"}},
        }
        return {
            "output_dir": "results",
            "models": models,
            "benchmarks": {
                name: {**benchmark, "command": f"{asks}/{name} {QUESTIONS} 0.5 strict"}
                for name in BENCHMARKS
            },
        }

    # --- commands -------------------------------------------------------------------------

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.work.command("--retries", "0"),
            cwd=self.work.directory,
            env=self.work.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, head: subprocess.Popen[str]) -> int:
        """Wait for a command, and look at what it reported."""
        try:
            output, _ = head.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            self.problems.append("hangs: a command did not end within 180 s")
            os.killpg(head.pid, signal.SIGKILL)
            output, _ = head.communicate()
        self.said.append(output)
        if of_snakeval(output):
            self.problems.append("traceback")
        return int(head.returncode)

    def kill(self, head: subprocess.Popen[str], at: int, pause: float, alone: bool) -> None:
        """Kill a head when the stand-in has had so many requests; with its children, or alone."""
        while head.poll() is None and len(self.lepton.requests) < at:
            time.sleep(0.02)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(pause)
        if head.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                (os.kill if alone else os.killpg)(head.pid, signal.SIGKILL)
            self.killed.append(f"after {len(self.lepton.requests)} requests")

    def play(self) -> None:
        """Start both heads, kill them, and give the same command until it ends with 0."""
        rng = random.Random(self.seed)
        moments = [(rng.randrange(1, REQUESTS), rng.random(), rng.random() < 0.5) for _ in range(2)]
        between = rng.random() * 3
        killers, heads = [], []
        for moment in moments:
            heads.append(self.start())
            killers.append(threading.Thread(target=self.kill, args=(heads[-1], *moment)))
            killers[-1].start()
            if len(heads) == 1:
                time.sleep(between)
        for head in heads:
            self.end(head)
        for killer in killers:
            killer.join()
        for _ in range(3):
            self.commands += 1
            if self.end(self.start()) == 0:
                break
        else:
            self.problems.append("three commands were not enough")
        self.judge()

    # --- the verdict ----------------------------------------------------------------------

    def judge(self) -> None:
        names = [f"{model}/{benchmark}" for model in MODELS for benchmark in BENCHMARKS]
        jobs = len(self.lepton.jobs)
        if jobs != len(names):
            self.problems.append(f"{jobs} jobs for {len(names)} evaluations")
        started = self.log.read_text().splitlines()
        for name in names:
            if (times := started.count(f"started {name}")) != 1:
                self.problems.append(f"{name} ran {times} times")
            record = next(self.work.directory.glob(f"results/*/{name}/evaluation.json"), None)
            metrics = json.loads(record.read_text() or "{}").get("metrics") if record else None
            if not metrics or metrics[0]["value"] != 1.0:
                self.problems.append(f"{name} has lost its result: {metrics}")
        workspace = self.lepton.workspace
        until = time.monotonic() + 10
        while workspace.endpoints.all and time.monotonic() < until:
            time.sleep(0.1)
        for what, left in (
            ("jobs", [job.id for job in self.lepton.alive]),
            ("endpoints", [*workspace.endpoints.all]),
            ("secrets", [*workspace.secrets]),
        ):
            if left:
                self.problems.append(f"{what} are left: {left}")


def play(seed: int) -> tuple[dict[str, Any], str]:
    """Play one seed; return its result, and all that was printed."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, StandIn(PrivateRunner()) as lepton:
        pair = Pair(seed, Path(directory), lepton)
        pair.play()
        told = "\n".join([*pair.said, *lepton.asked("POST|DELETE")])
    result = {
        "seed": seed, "killed": pair.killed, "commands": pair.commands, "jobs": len(lepton.jobs),
        "requests": len(lepton.requests), "seconds": round(time.monotonic() - begun, 1),
        "problems": pair.problems,
    }  # fmt: skip
    return result, told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=10, help="how many seeds to play")
    parser.add_argument("--seed", type=int, help="play this one again")
    options = parser.parse_args()
    if options.seed is not None:
        result, told = play(options.seed)
        print(told, json.dumps(result), sep="\n")
        return bool(result["problems"])
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    first, failed = len(lines), 0
    for seed in range(first, first + options.pairs):
        result, told = play(seed)
        with RESULTS.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)
        if result["problems"]:
            failed += 1
            print(told, flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
