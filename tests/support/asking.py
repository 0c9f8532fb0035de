"""The job of an evaluation whose harness asks a model some questions, in the tests' process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.events import Journal
from snakeval.jobs import evaluate, run_job
from snakeval.ledger.reading import Stored, stored
from snakeval.matrix.expand import expand
from support.configs import COMMAND, config

#: Asks each question `same` times, keeps the answers, and dies before the question `dies`.
_HARNESS = """\
import json, os, pathlib, sys, urllib.request
url, model, count, same, place, results, dies = sys.argv[1:]
if pathlib.Path(place, "kills").exists():
    kills = pathlib.Path(place, "kills")
    beat = json.loads(pathlib.Path(results, "../../../requests/gateway").read_text())
    left = int(kills.read_text())
    if left:
        kills.write_text(str(left - 1))
        os.kill(beat["pid"], 9)
pathlib.Path(results, "environ.json").write_text(json.dumps(dict(os.environ)))
answers = []
for number in range(int(count)):
    if dies == str(number) and not pathlib.Path(place, "lives").exists():
        sys.exit("ValueError: an answer is missing")
    for _ in range(int(same)):
        message = {"role": "user", "content": f"What is {number} + 1?"}
        data = {"model": model, "messages": [message], "seed": 7}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(url, json.dumps(data).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answers.append(json.load(answer)["choices"][0]["message"]["content"])
pathlib.Path(results, "answers.json").write_text(json.dumps(answers))
pathlib.Path(results, "f").write_text(json.dumps({"v": len(answers)}))
"""


#: The key of an endpoint that has one; a job finds it in ``MY_KEY``.
KEY = "sk-canary-of-this-test"


def complete(evaluation: Evaluation, directory: EvaluationDirectory) -> tuple[int, str]:
    """Run a job in this process; return its exit code and the reason of its failure."""
    journal = Journal(directory.events)

    def work(stop: Event) -> int:
        return evaluate._complete(evaluation, directory, journal, os.getpid(), stop)

    code = run_job.run(directory, journal, directory.log, 0, work)
    return code, directory.failure_reason()


class Asking:
    """A job in the directory of a test. Without an image, its harness is a process."""

    def __init__(
        self, directory: Path, url: str, count: int = 3, same: int = 1, **changes: Any
    ) -> None:
        self.place = directory
        self.directory = EvaluationDirectory(directory / "run/m/b")
        (directory / "harness.py").write_text(_HARNESS)
        self.count, self.same = count, same
        self.redefine(url, **changes)

    def redefine(
        self,
        url: str,
        *,
        dies: int = -1,
        key: str = "",
        env: tuple[str, ...] = (),
        image: str = "",
        runtime: str = "process",
        network: str = "host",
        **transport: Any,
    ) -> None:
        """Define the evaluation anew; `transport` has fields of its transport."""
        command = (
            f"exec python3 {self.place}/harness.py "
            "{{ url }} {{ model_id }} "
            f"{self.count} {self.same} {self.place} "
            "{{ results }} "
            f"{dies}"
        )
        metrics = {"file": "f", "values": {"v": "v"}}
        benchmark: dict[str, Any] = COMMAND | {"command": command, "metrics": metrics}
        if env:
            benchmark["env"] = list(env)
        if image:
            benchmark["image"] = image
            benchmark["mounts"] = [{"source": str(self.place), "target": str(self.place)}]
        endpoint = {"url": f"{url}/v1", "model_id": "careful"}
        if key:
            endpoint["api_key_name"] = key
        rows = {
            "runtime": runtime,
            "network": network,
            "models": {"m": {"endpoint": endpoint}},
            "benchmarks": {"b": benchmark},
        }
        (made,) = expand(config(self.place, rows))
        times = {"heartbeat": 0.05, "stale": 0.5, **transport}
        self.evaluation: Evaluation = replace(made, transport=replace(made.transport, **times))

    def __call__(self) -> tuple[int, str]:
        """Run the job; return its exit code and the reason of its failure."""
        return complete(self.evaluation, self.directory)

    def lives(self) -> None:
        """Let the harness live on after the question before which it died."""
        (self.place / "lives").touch()

    @property
    def artifacts(self) -> Path:
        """The artifacts of the newest attempt."""
        return self.directory.newest_artifacts

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the last harness."""
        found: dict[str, str] = json.loads((self.artifacts / "environ.json").read_text())
        return found

    @property
    def answers(self) -> list[str]:
        """The answers that the last harness received."""
        found: list[str] = json.loads((self.artifacts / "answers.json").read_text())
        return found

    @property
    def stored(self) -> list[Stored]:
        """The answers in the journals."""
        return list(stored(self.directory.requests))
