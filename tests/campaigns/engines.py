"""A campaign on a real vLLM: how often it starts for the checkpoints of a series, and its scores.

A series of tiny checkpoints is evaluated on four benchmarks in several ways:

* ``cold``: each checkpoint has a server of its own; these scores are the right ones,
* ``swap``: one server replaces its weights by those of each checkpoint,
* ``cold-adapters``: a run for each adapter, whose server starts with it,
* ``adapters``: one server loads all adapters,
* ``stale`` and ``cache``: as ``swap``, by a server with a fault (:mod:`campaigns.faulty_vllm`).

A benchmark's score is a digest of greedy answers, so other weights have other scores. ``make
engines`` appends the results to ``engines.jsonl``: engine starts, scores that are not the right
ones, and seconds. It ends with 1 if a score is wrong or there were too many starts. ``--vllm`` is
the environment that ``tests/testbed/vllm.sh`` makes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from support.small_vllm import ARGUMENTS, variables  # noqa: E402

RESULTS = HERE / "engines.jsonl"
BENCHMARKS = ("letters", "sums", "words", "names")
WAYS = ("cold", "swap", "cold-adapters", "adapters", "stale", "cache")
#: The prompts of all benchmarks begin alike, with more than a block of the prefix cache.
PREFIX = "Answer in one word. " * 16
QUESTIONS, TOKENS = 4, 12


def harness(url: str, model: str, benchmark: str, out: str) -> None:
    """Ask greedy questions; write a number that depends on each letter of the answers."""
    said = []
    for number in range(QUESTIONS):
        body = {
            "model": model,
            "prompt": f"{PREFIX}{benchmark} {number}: ",
            "max_tokens": TOKENS,
            "temperature": 0,
        }
        request = urllib.request.Request(
            url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            said.append(json.load(answer)["choices"][0]["text"])
    digest = hashlib.sha256("\0".join(said).encode()).digest()
    score = int.from_bytes(digest[:6], "big") / 2**48
    Path(out).write_text(json.dumps({"score": score}))


class Played:
    """The runs of one way in a directory of its own."""

    def __init__(self, given: argparse.Namespace, way: str, place: Path) -> None:
        self.given, self.way, self.place = given, way, place
        self.place.mkdir(parents=True)
        count = given.faulty if way in ("stale", "cache") else given.checkpoints
        self.steps = [100 * number for number in range(1, count + 1)]

    @property
    def adds(self) -> bool:
        """Whether the checkpoints are adapters."""
        return self.way.endswith("adapters")

    def configuration(self) -> dict[str, Any]:
        """Return the configuration of the way."""
        series = self.given.series
        deployment: dict[str, Any] = {
            "kind": "vllm",
            "type": "completions",
            "gpus": 0,
            "extra_args": ARGUMENTS,
            "set_env": variables(Path(self.given.vllm).parent),
        }
        if self.adds:
            deployment["checkpoint_path"] = f"{series}/full/step-100"
        else:
            deployment["swap"] = self.way != "cold"
        if self.way in ("stale", "cache"):
            deployment["command"] = (
                f"{self.given.vllm}/bin/python {HERE}/faulty_vllm.py {self.way} serve"
                " {{ model }} --host {{ host }} --port {{ port }}"
                " --served-model-name {{ served_model_name }}"
            )
        folder, last = "lora" if self.adds else "full", self.steps[-1]
        own = f"{sys.executable} {HERE}/engines.py --harness {{{{ url }}}} {{{{ model_id }}}}"
        return {
            "output_dir": str(self.place / "runs"),
            "runtime": "process",
            "models": {
                "tiny": {
                    "deployment": deployment,
                    "checkpoints": {
                        "pattern": f"{series}/{folder}/step-{{step}}",
                        "ready": "adapter_config.json" if self.adds else "config.json",
                        "until": last,
                    },
                }
            },
            "benchmarks": {
                name: {
                    "harness": "generic",
                    "command": f"{own} {name} {{{{ results }}}}/out.json",
                    "metrics": {"file": "out.json", "values": {"score": "score"}},
                }
                for name in BENCHMARKS
            },
        }

    def play(self) -> dict[str, Any]:
        """Run it; return its engine starts, scores and seconds."""
        config = self.place / "config.yaml"
        config.write_text(yaml.safe_dump(self.configuration()))
        began = time.monotonic()
        heads = [f"models=tiny@{step}" for step in self.steps] if "cold-" in self.way else [""]
        for models in heads:
            self._run(config, models)
        return {
            "way": self.way,
            "checkpoints": len(self.steps),
            "starts": len(list(self.place.glob("runs/*/*/deployment/server-*.log"))),
            "scores": self.scores(),
            "said": self.said(),
            "seconds": round(time.monotonic() - began, 1),
        }

    def _run(self, config: Path, models: str) -> None:
        command = [str(Path(sys.executable).parent / "snakeval"), "run", "--config", str(config)]
        command += ["--", "--cores", "2"] + (["--config", models] if models else [])
        environ = {
            **os.environ,
            "SNAKEVAL_HOME": str(self.place / "home"),
            "PATH": f"{self.given.vllm}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with (self.place / "head.log").open("ab") as log:
            code = subprocess.run(
                command, cwd=self.place, env=environ, stdout=log, stderr=log, check=False
            ).returncode
        if code:
            print(f"{self.way}: the head ended with {code}; see {self.place}/head.log")

    def scores(self) -> dict[str, float]:
        """Return the score of each evaluation."""
        found = {}
        for record in sorted(self.place.glob("runs/*/*/*/evaluation.json")):
            out = record.parent / "artifacts/out.json"
            found[f"{record.parts[-3]}/{record.parts[-2]}"] = json.loads(out.read_text())["score"]
        return found

    def said(self) -> list[str]:
        """Return why servers started again."""
        events = [
            json.loads(line)
            for file in sorted(self.place.glob("runs/*/*/deployment/events.jsonl"))
            for line in file.read_text().splitlines()
        ]
        return [event["detail"] for event in events if event["phase"] == "doubted"]


def problems(result: Mapping[str, Any], right: Mapping[str, float]) -> list[str]:
    """Return what is wrong with a way, whose scores must be the *right* ones."""
    found, way, count = [], result["way"], result["checkpoints"]
    expected = {"cold": count, "cold-adapters": count, "swap": 1, "adapters": 1}.get(way)
    if expected is not None and result["starts"] != expected:
        found.append(f"{result['starts']} engine starts, expected {expected}")
    if len(result["scores"]) != count * len(BENCHMARKS):
        found.append(f"only {len(result['scores'])} evaluations are complete")
    wrong = [name for name, score in result["scores"].items() if right.get(name, score) != score]
    return found + [f"{name} has another score than its cold start" for name in wrong]


def main() -> int:
    """Play the ways; return 1 if one has a problem."""
    if sys.argv[1:2] == ["--harness"]:
        harness(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    testbed = os.environ.get("SNAKEVAL_TESTBED") or "/tmp/snakeval-testbed"
    parser.add_argument("--vllm", default=f"{testbed}/vllm/venv", help="vLLM's environment")
    parser.add_argument("--checkpoints", type=int, default=12)
    parser.add_argument("--faulty", type=int, default=4, help="checkpoints of a way with a fault")
    parser.add_argument("--ways", default=",".join(WAYS), help="comma-separated")
    parser.add_argument("--append", action="store_true", help="append the results to the file")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="snakeval-engines-"))
    given.series = place / "series"
    maker = [f"{given.vllm}/bin/python", str(HERE.parent / "testbed/tiny_series.py")]
    subprocess.run([*maker, str(given.series), str(given.checkpoints)], check=True)
    results = {}
    for way in given.ways.split(","):
        results[way] = Played(given, way, place / way).play()
        print(f"{way}: {results[way]['seconds']} s", flush=True)
    right = {way: results[way]["scores"] for way in ("cold", "cold-adapters") if way in results}
    for way, result in results.items():
        cold = "cold-adapters" if way.endswith("adapters") else "cold"
        result["problems"] = problems(result, right.get(cold, {}))
        result["compared"] = len(right.get(cold, {}).keys() & result["scores"].keys())
        scores = result.pop("scores")
        result |= {"evaluations": len(scores), "different_scores": len(set(scores.values()))}
        print(json.dumps(result), flush=True)
        if given.append:
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
    print(f"files: {place}")
    return int(any(result["problems"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
