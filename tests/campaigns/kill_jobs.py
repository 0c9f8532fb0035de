"""One evaluation of the campaign of kills: its job, its kill, and whether it was sound.

:class:`Played` starts the job itself. :class:`PlayedOnSlurm` starts Snakemake with the profile of
Slurm, without the ``snakeval`` command. What it kills of a job is drawn from the seed: ``scancel``,
``scontrol requeue`` or SIGKILL to the job's process. If it kills everything, Snakemake dies, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from campaigns.kill_endpoint import Endpoint
from campaigns.kill_harnesses import IN_FLIGHT, ITEMS, NEEDED, SAMPLES, answers, rows
from snakeval.config.load import load
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.ledger.summary import lives_here
from snakeval.matrix.expand import expand
from snakeval.runtimes.marked import marked
from support.configs import write
from support.slurm import queue, slurm

KINDS = ("harness", "job", "gateway", "everything")
_REPOSITORY = Path(__file__).parents[2]
#: Seconds for a harness that must be installed first.
_INSTALLING = 900


class Played:
    """One evaluation and its kill, or without a kill if there is no seed."""

    #: Jobs after which an evaluation must have ended with 0.
    most_jobs = 3
    own_runtime = ""

    def __init__(
        self,
        seed: int | None,
        place: Path,
        endpoint: Endpoint,
        harness: str,
        docker: bool,
        environments: Path,
    ) -> None:
        self.seed, self.place, self.endpoint = seed, place, endpoint
        self.harness, self.docker = harness, docker
        self.random = random.Random(seed)
        self.kind = "" if seed is None else KINDS[seed % len(KINDS)]
        self.problems: list[str] = []
        self.jobs = self.under_way = 0
        self.how = ""
        installs = not docker and harness != "commands"
        # Programs of an environment name its path, so it must outlive the first seed.
        self.home = environments if installs else place / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        kind = "completions" if harness == "loglikelihood" else "chat"
        model = {"url": endpoint.url, "model_id": "m", "type": kind}
        self.config = {
            "runtime": "docker" if docker else "process",
            "lease": {"heartbeat": 0.2, "stale": 2},
            "params": {"parallelism": IN_FLIGHT},
            "models": {"m": {"endpoint": model}},
            "benchmarks": {"b": rows(harness, place, docker=docker)},
        }
        self.define()

    def define(self) -> None:
        """Prepare what the job reads."""
        self.directory = EvaluationDirectory(self.place / "run/m/b")
        self.directory.private.mkdir(parents=True)
        (self.evaluation,) = expand(load([write(self.place, self.config)])[0])
        self.directory.define(self.evaluation)

    def play(self) -> None:
        """Run the evaluation, and kill once."""
        job = self.start()
        if self.seed is not None:
            self.kill(job)
        self.finish(job)
        self.judge()

    def command(self) -> list[str]:
        """Return the command of the job."""
        record = self.directory.output
        words = [sys.executable, "-m", "snakeval.jobs.evaluate", record]
        return [*words, "--fingerprint", self.evaluation.fingerprint]

    def start(self) -> subprocess.Popen[str]:
        """Start the job. Its output is a file, which has room for all of it."""
        self.jobs += 1
        with (self.place / f"job-{self.jobs}.log").open("w") as log:
            return subprocess.Popen(
                self.command(),
                cwd=self.place,
                env={**os.environ, "SNAKEVAL_HOME": str(self.home), "HF_HUB_OFFLINE": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return the end of what the last job printed."""
        return (self.place / f"job-{self.jobs}.log").read_text(errors="replace")[-600:]

    def kill(self, job: subprocess.Popen[str]) -> None:
        """Kill at a random moment."""
        moment = self.random.randint(1, NEEDED - 2)
        until = time.monotonic() + _INSTALLING
        while len(self.endpoint.arrived) < moment:
            if job.poll() is not None or time.monotonic() > until:
                self.problems.append(f"nothing to kill: {self.said()}")
                return
            time.sleep(0.002)
        time.sleep(self.random.random() * 0.1)
        self.under_way = self.endpoint.under_way
        if self.kind in ("job", "everything"):
            self.kill_job(job)
        if self.kind in ("gateway", "everything"):
            # Slurm's commands take a while, in which the gateway goes on.
            self.under_way = self.endpoint.under_way
            _kill(lives_here(self.directory.requests / "gateway"))
        if self.kind in ("harness", "everything"):
            self.kill_harness()

    def kill_job(self, job: subprocess.Popen[str]) -> None:
        """Kill the job, and nothing beside it."""
        self.how = "SIGKILL"
        _kill(job.pid)

    def kill_harness(self) -> None:
        """Kill all processes of the harness."""
        name = self.directory.container_name
        if self.docker:
            # The container may have ended with the job.
            words = ["docker", "kill", "--signal", "KILL", name]
            subprocess.run(words, capture_output=True, check=False, timeout=60)
        else:
            for pid, _ in marked([name]):
                _kill(pid)

    def finish(self, job: subprocess.Popen[str]) -> None:
        """Wait for the killed job, and run it again until it ends with 0."""
        seconds = 240 if self.seed is not None else _INSTALLING
        while True:
            try:
                job.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                self.problems.append(f"hangs: the job did not end within {seconds} s")
                return
            if job.returncode == 0:
                return
            if self.jobs == self.most_jobs:
                self.problems.append(f"the last job failed, too: {self.said()}")
                return
            job = self.start()

    @property
    def allowed(self) -> int:
        """How many requests may be asked again."""
        return 0 if self.kind in ("", "harness", "job") else IN_FLIGHT

    def judge(self) -> None:
        """Find what is not sound."""
        arrived = Counter(self.endpoint.arrived)
        extra = len(self.endpoint.arrived) - NEEDED
        least = 1 if self.harness == "loglikelihood" else SAMPLES
        if len(arrived) != NEEDED // least or min(arrived.values()) < least:
            self.problems.append(f"too few requests: {dict(arrived)}")
        if extra > self.allowed:
            self.problems.append(f"{extra} requests were asked again, {self.allowed} are allowed")
        found = answers(self.harness, self.directory.artifacts)
        if len(found) != ITEMS:
            self.problems.append(f"answers to {len(found)} items were received")
        for item, texts in found.items():
            if len(texts) != SAMPLES or len(set(texts)) != SAMPLES:
                self.problems.append(f"item {item} has the answers {texts}")
            sent = sorted(int(seed) for seed in re.findall(r"seed (\d+)", " ".join(texts)))
            if sent != [*range(sent[0], sent[0] + SAMPLES)] if sent else least == SAMPLES:
                self.problems.append(f"item {item} was asked with the seeds {sent}")
        if not self.scores():
            self.problems.append("it has no scores")
        if lives_here(self.directory.requests / "gateway") is not None:
            self.problems.append("a gateway is left")
        if left := self.left():
            self.problems.append(f"is left: {left}")

    def left(self) -> list[str]:
        """Return the processes or containers of the harness."""
        name = self.directory.container_name
        if not self.docker:
            return [str(pid) for pid, _ in marked([name])]
        words = ["docker", "ps", "--all", "--quiet", "--filter", f"name={name}"]
        return subprocess.check_output(words, text=True, timeout=60).split()

    def scores(self) -> list[dict[str, Any]]:
        """Return the metrics of the record, or nothing without a record."""
        with contextlib.suppress(FileNotFoundError):
            found: list[dict[str, Any]] = json.loads(self.directory.published.read_text())[
                "metrics"
            ]
            return found
        return []

    def clear(self) -> None:
        """Leave nothing."""

    def result(self) -> dict[str, Any]:
        """Return the line of the results."""
        how = {"how": self.how} if self.own_runtime else {}
        return {
            "seed": self.seed,
            "kind": self.kind,
            **how,
            "harness": self.harness,
            "runtime": "docker" if self.docker else "process",
            **({"executor": self.own_runtime} if self.own_runtime else {}),
            "under_way": self.under_way,
            "again": len(self.endpoint.arrived) - NEEDED,
            "jobs": self.jobs,
            "scores": self.scores(),
            "allowed": self.allowed,
            "helpers": self.endpoint.helpers.total(),
            "problems": self.problems,
        }


class PlayedOnSlurm(Played):
    """One evaluation whose job runs in Slurm; what starts again is Snakemake."""

    own_runtime = "slurm"

    def define(self) -> None:
        """Write the configuration that Snakemake reads."""
        write(self.place, self.config)

    @property
    def directory(self) -> EvaluationDirectory:  # type: ignore[override]
        """The directory in the only run."""
        (run,) = self.place.glob("results/[0-9]*-*")
        return EvaluationDirectory(run / "m/b")

    def command(self) -> list[str]:
        """Return the command of Snakemake."""
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(_REPOSITORY / "Snakefile")),
            *("--profile", str(_REPOSITORY / "profiles/slurm"), "--configfile", "c.yaml"),
            *("--config", "preflight=false"),  # the endpoint counts what it is asked
            *("--default-resources", "slurm_account=evals", "slurm_partition=cpu"),
            *("--slurm-resume-max-seconds-between-status-checks", "2"),
        ]

    def kill_job(self, job: subprocess.Popen[str]) -> None:
        """Kill the Slurm job; with everything, Snakemake, too."""
        if self.kind == "everything":
            _kill(job.pid)
            job.wait(60)
        (number,) = queue(self.place)
        self.how = self.random.choice(("scancel", "requeue", "SIGKILL"))
        if self.kind == "everything" or self.how == "SIGKILL":
            self.how = "SIGKILL"
            holder = self.directory.holder()
            _kill(holder.pid if holder else None)
        else:
            slurm(*(("scancel",) if self.how == "scancel" else ("scontrol", "requeue")), number)

    def clear(self) -> None:
        """Cancel jobs of an evaluation that was not sound."""
        if left := queue(self.place):
            slurm("scancel", *left)


def _kill(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
