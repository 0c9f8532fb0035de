"""Compares snakeval with other tools on one small experiment against a stub endpoint.

    python tests/campaigns/other_tools.py --inspect BIN --lm-eval BIN [TOOL...] > other_tools.jsonl

The experiment has 2 models and 3 benchmarks of 20 questions. The stub counts the requests that it
answers, by model and question. Each tool has three tests: which questions a repeated command asks
again after ``kill -9`` in the middle; whether cut, empty and failed answers (``error`` with status
200) become a score; and when the tool reports a dead port. BIN is the program of the tool in an
environment of its own. snakeval and plain Snakemake run the same command, which asks one question
after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from campaigns.other_tools_parts import MODELS, QUESTIONS, TASKS, Stub, write

KILL_AT = 70
LIMIT = 900


Command = Callable[[Path, str, tuple[str, ...], tuple[str, ...]], list[str]]


def _loop(program: str, extra: str = "") -> Command:
    def command(
        folder: Path, url: str, models: tuple[str, ...], tasks: tuple[str, ...]
    ) -> list[str]:
        lines = [
            f"{program} --model local-chat-completions --model_args "
            f"model={model},base_url={url}/chat/completions,num_concurrent=4,max_retries=3 "
            f"--tasks {','.join(tasks)} --include_path . --apply_chat_template "
            f"--output_path out/{model} {extra.replace('MODEL', model)}"
            for model in models
        ]
        return ["bash", "-ec", "\n".join(lines)]

    return command


def _inspect(program: str) -> Command:
    def command(
        folder: Path, url: str, models: tuple[str, ...], tasks: tuple[str, ...]
    ) -> list[str]:
        names = ",".join(f"openai-api/stub/{model}" for model in models)
        wanted = [f"tasks.py@{task}" for task in tasks]
        options = ["--model", names, "--log-dir", "logs", "--max-connections", "4"]
        return [program, "eval-set", *wanted, *options, "--display", "plain", "--max-tokens", "8"]

    return command


def _snakemake(
    folder: Path, url: str, models: tuple[str, ...], tasks: tuple[str, ...]
) -> list[str]:
    given = [f"models={','.join(models)}", f"tasks={','.join(tasks)}", f"url={url}"]
    options = ["--cores", "4", "--rerun-incomplete"]
    return [sys.executable, "-m", "snakemake", *options, "--config", *given]


def _snakeval(folder: Path, url: str, models: tuple[str, ...], tasks: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "snakeval", "run", "evaluation.yaml"]


def run(command: list[str], folder: Path, url: str, until: Callable[[], bool]) -> dict[str, Any]:
    """Run *command* in *folder*; kill all of it with ``kill -9`` as soon as *until* holds."""
    environment = os.environ | {
        "HOME": str(folder), "SNAKEVAL_HOME": str(folder / "home"), "STUB_API_KEY": "x",
        "STUB_BASE_URL": url, "OPENAI_API_KEY": "x", "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        killed = ""
        while process.poll() is None and not killed:
            time.sleep(0.05)
            killed = "kill -9" if until() else ""
            killed = killed or ("too long" if time.monotonic() - begin > LIMIT else "")
        if killed:
            kill_tree(process.pid)
        code = process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.monotonic() - begin
    return {"exit": code, "killed": killed, "wall": round(wall, 1), "cpu": round(cpu, 1)}


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, also in other sessions."""
    children = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(int(child))


def score(tool: str, folder: Path, inspect: str) -> str:
    """Return the score that the tool recorded for model a and benchmark one, with its status."""
    if tool == "snakeval":
        rows = [json.loads(p.read_text()) for p in folder.glob("results/*/results.json")]
        found = [(r["value"], r["status"], r["health"], r["reason"]) for row in rows for r in row]
        return str(found[0]) if found else "none"
    if tool == "inspect":
        found_logs = []
        for path in folder.glob("logs/*.eval"):
            dumped = subprocess.run(
                [inspect, "log", "dump", "--header-only", str(path)],
                capture_output=True, text=True, check=False,
            ).stdout  # fmt: skip
            log = json.loads(dumped)
            scores = (log.get("results") or {}).get("scores") or []
            values = [m["value"] for s in scores for m in s["metrics"].values()][:1]
            found_logs.append((log["status"], *values))
        return str(found_logs) if found_logs else "none"
    if tool == "snakemake":
        files = [p.read_text() for p in folder.glob("out/*.json")]
        return files[0] if files else "none"
    files = [json.loads(p.read_text()) for p in folder.glob("out/**/results_*.json")]
    return str(files[0]["results"]["one"]["exact_match,none"]) if files else "none"


def main() -> None:
    """Run the experiment of each tool and print a line for each result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inspect", default="inspect")
    parser.add_argument("--lm-eval", default="lm_eval")
    parser.add_argument("tools", nargs="*")
    given = parser.parse_args()
    tools: dict[str, Command] = {
        "snakeval": _snakeval,
        "snakemake": _snakemake,
        "inspect": _inspect(given.inspect),
        "lm-eval": _loop(given.lm_eval),
        "lm-eval --use_cache": _loop(given.lm_eval, "--use_cache cache-MODEL"),
    }
    for name in given.tools or tools:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            for result in measure(name, tools[name], Path(directory), given.inspect):
                print(json.dumps({"tool": name, "load": os.getloadavg()[0], **result}), flush=True)


def measure(name: str, command: Command, root: Path, inspect: str) -> Iterator[dict[str, Any]]:
    """Yield the results of a tool."""
    stub = Stub()
    total = len(MODELS) * len(TASKS) * QUESTIONS
    folder = root / "kill"
    write(folder, stub.url, MODELS, TASKS)
    full = command(folder, stub.url, MODELS, TASKS)
    first = run(full, folder, stub.url, lambda: sum(stub.answered.values()) >= KILL_AT)
    time.sleep(1)
    before = Counter(stub.answered)
    second = run(full, folder, stub.url, lambda: False)
    again = sum((stub.answered - before)[key] for key in before)
    yield {
        "case": "kill", "answered": before.total(), "again": again, "asked": len(stub.answered),
        "of": total, "first": first, "second": second,
    }  # fmt: skip
    for way in ("cut", "empty", "error"):
        stub.way = way
        stub.answered.clear()
        folder = root / way
        write(folder, stub.url, MODELS[:1], TASKS[:1])
        ended = run(
            command(folder, stub.url, MODELS[:1], TASKS[:1]), folder, stub.url, lambda: False
        )
        yield {
            "case": way,
            **ended,
            "requests": stub.answered.total(),
            "score": score(name, folder),
        }
    dead = "http://127.0.0.1:9/v1"
    folder = root / "dead"
    write(folder, dead, MODELS[:1], TASKS[:1])
    ended = run(command(folder, dead, MODELS[:1], TASKS[:1]), folder, dead, lambda: False)
    last = (folder / "output.txt").read_text(errors="replace").strip().splitlines()[-3:]
    yield {"case": "dead port", **ended, "said": last}


if __name__ == "__main__":
    main()
