"""The ledger changes no score: 25 tasks of lm-eval of all output types, with and without it.

    python tests/campaigns/transparency.py --lm-eval PROGRAM [--write]

Each task runs by hand against a model, through a gateway with a new journal, and once more through
a gateway that is offline. All metrics and all samples must be equal to the digit, and the model
must receive nothing from the offline pass. The tasks that ask K equal requests run by hand K times
with one sample each, with the seeds s to s + K - 1. ``--write`` writes the table to
``transparency.md``. The program ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from campaigns.transparency_model import Model  # noqa: E402
from campaigns.transparency_tasks import SAMPLED, tasks, write_tasks  # noqa: E402
from snakeval.ledger.beside import beside  # noqa: E402

TABLE = HERE / "transparency.md"
SEED = 1234
_KEY = "sk-transparency"


@dataclass
class Harness:
    """The program, and where it works."""

    program: str
    place: Path
    passes: int = 0

    def run(
        self, kind: str, url: str, key: str, names: Sequence[str], seed: int = SEED
    ) -> dict[str, dict[str, Any]]:
        """Run tasks; return the metrics and the samples of each.

        Raises:
            subprocess.CalledProcessError: the harness failed.
        """
        self.passes += 1
        output = self.place / f"output{self.passes}"
        chats = kind == "local-chat-completions"
        # Equal requests at once would receive the seeds in another order than by hand.
        at_once = 1 if "repeats" in tasks().get(names[0], {}) else 8
        arguments = {
            "model": "m",
            "base_url": url,
            "num_concurrent": at_once,
            "max_retries": 1,
            "seed": seed,
            **({"tokenized_requests": False} if chats else {"tokenizer_backend": "remote"}),
        }
        words = [self.program, "run", "--model", kind, "--model_args", json.dumps(arguments)]
        words += ["--tasks", ",".join(names), "--include_path", ".", "--log_samples"]
        words += ["--output_path", str(output), *(["--apply_chat_template"] if chats else [])]
        environ = {**os.environ, "OPENAI_API_KEY": key, "HF_HUB_OFFLINE": "1"}
        environ["HF_HOME"] = str(self.place / "home")
        log = self.place / f"log{self.passes}.txt"
        with log.open("w") as file:
            done = subprocess.run(
                words, cwd=self.place, env=environ, stdout=file, stderr=file, timeout=900
            )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {_end(log)}")
        (results,) = output.rglob("results_*.json")
        metrics = json.loads(results.read_text())["results"]
        return {
            name: {"metrics": metrics[name], "samples": list(_samples(output, name))}
            for name in names
        }


def _end(log: Path) -> str:
    return log.read_text()[-2000:]


def _samples(output: Path, name: str) -> Iterator[dict[str, Any]]:
    (file,) = output.rglob(f"samples_{name}_2*.jsonl")
    for line in file.read_text().splitlines():
        yield json.loads(line)


@dataclass
class Row:
    """What came of one task with one kind of model."""

    task: str
    kind: str
    samples: int
    metrics: int
    problems: list[str]
    offline: int = 0


class Table:
    """Runs all tasks in three ways, and compares them."""

    def __init__(self, harness: Harness, model: Model) -> None:
        self.harness, self.model = harness, model

    def rows(self) -> list[Row]:
        """Return the rows of the table."""
        plain = [name for name, task in tasks().items() if "repeats" not in task]
        chats = [name for name in plain if tasks()[name]["output_type"] == "generate_until"]
        found = self._compared("local-completions", "/v1/completions", "", plain)
        found += self._compared("local-chat-completions", "/v1/chat/completions", _KEY, chats)
        return found + self._sampled()

    def _passes(self, kind: str, path: str, key: str, names: Sequence[str]) -> Any:
        """Run through a gateway, and once more offline; return both, and what arrived offline."""
        directory = self.harness.place / f"requests{self.harness.passes}"
        upstream = {"url": self.model.url + path, "identity": "m", "key": key, "proxy": False}
        upstream |= {"start": 8, "ceiling": 8}
        found, arrived = [], 0
        for offline in (False, True):
            before = self.model.arrived
            with beside(directory, {"m": upstream}, print, offline=offline) as gateway:
                token = gateway.token if key else ""
                found.append(self.harness.run(kind, gateway.urls["m"], token, names))
            arrived = self.model.arrived - before
        summary = json.loads((directory / "summary.json").read_text())["upstreams"]["m"]
        if summary["missed"]:
            raise RuntimeError(f"the journal misses {summary['misses']}")
        return *found, arrived

    def _compared(self, kind: str, path: str, key: str, names: Sequence[str]) -> list[Row]:
        by_hand = self.harness.run(kind, self.model.url + path, key, names)
        beside_it, offline, arrived = self._passes(kind, path, key, names)
        rows = []
        for name in names:
            expected, problems = by_hand[name], []
            for way, other in (("ledger", beside_it[name]), ("offline", offline[name])):
                problems += [f"{way}: {what}" for what in expected if other[what] != expected[what]]
            rows.append(_row(name, kind, expected, problems, arrived))
        return rows

    def _sampled(self) -> list[Row]:
        kind, path, names = "local-chat-completions", "/v1/chat/completions", list(SAMPLED)
        most = max(SAMPLED[name]["repeats"] for name in names)
        single = [f"{name}_single" for name in names]
        by_hand = [
            self.harness.run(kind, self.model.url + path, _KEY, single, SEED + number)
            for number in range(most)
        ]
        beside_it, offline, arrived = self._passes(kind, path, _KEY, names)
        rows = []
        for name in names:
            answers = [
                [sample["resps"][0][0] for sample in one[f"{name}_single"]["samples"]]
                for one in by_hand[: SAMPLED[name]["repeats"]]
            ]
            expected = [list(texts) for texts in zip(*answers, strict=True)]
            problems = _differences(name, expected, beside_it[name])
            if beside_it[name] != offline[name]:
                problems.append("offline: differs")
            rows.append(_row(name, kind, beside_it[name], problems, arrived))
        return rows


def _differences(name: str, expected: list[list[str]], found: dict[str, Any]) -> list[str]:
    """Compare the samples of a task with those by hand, and its score with theirs."""
    problems = []
    if [sample["resps"][0] for sample in found["samples"]] != expected:
        problems.append("ledger: the answers differ from those by hand")
    right = 0
    for texts, sample in zip(expected, found["samples"], strict=True):
        numbers = [text.partition("answer is ")[2].partition(".")[0] for text in texts]
        chosen = Counter(numbers).most_common(1)[0][0] if "majority" in name else numbers[0]
        right += chosen == sample["doc"]["total"]
    (score,) = (value for key, value in found["metrics"].items() if key.startswith("exact_match,"))
    if score != right / len(expected):
        problems.append(f"ledger: the score is {score}, by hand {right / len(expected)}")
    return problems


def _row(name: str, kind: str, found: dict[str, Any], problems: list[str], offline: int) -> Row:
    if offline:
        problems = [*problems, f"offline: the model received {offline} requests"]
    metrics = sum(isinstance(value, float) for value in found["metrics"].values())
    return Row(name, kind.removeprefix("local-"), len(found["samples"]), metrics, problems, offline)


def table(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    lines = ["| task | output type | model | samples | values | with the ledger | offline |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows:
        ways = [
            "; ".join(p for p in row.problems if p.startswith(way)) or "equal"
            for way in ("ledger", "offline")
        ]
        cells = [row.task, tasks()[row.task]["output_type"], row.kind, row.samples, row.metrics]
        cells += [ways[0], f"{ways[1]}, {row.offline} requests"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lm-eval", default="lm_eval", help="the program")
    parser.add_argument("--write", action="store_true", help=f"write the table to {TABLE.name}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Model() as model:
        threading.Thread(target=model.serve_forever, args=(0.02,), daemon=True).start()
        write_tasks(Path(name))
        rows = Table(Harness(given.lm_eval, Path(name)), model).rows()
        model.shutdown()
    print(table(rows))
    print(f"{len({row.task for row in rows})} tasks, {len(rows)} rows")
    if given.write:
        TABLE.write_text(table(rows))
    return 1 if any(row.problems for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
