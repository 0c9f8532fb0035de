"""The stub endpoint and the files of the comparison with other tools."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

MODELS = ("a", "b")
TASKS = ("one", "two", "three")
QUESTIONS = 20
QUESTION = "Write the number"
SECONDS = 0.25

ASK = """\
import json, sys, urllib.request
url, model, task, out = sys.argv[1:]
right = 0
for line in open(f"{task}.jsonl"):
    item = json.loads(line)
    messages = [{"role": "user", "content": item["question"]}]
    body = json.dumps({"model": model, "messages": messages, "max_tokens": 8, "temperature": 0})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    right += answer.strip() == item["answer"]
open(out, "w").write(json.dumps({"accuracy": right / 20, "n": 20}))
"""
INSPECT = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample, json_dataset
from inspect_ai.scorer import match
from inspect_ai.solver import generate


def _task(name):
    sample = lambda item: Sample(input=item["question"], target=item["answer"])
    return Task(json_dataset(f"{name}.jsonl", sample), solver=generate(), scorer=match())


@task
def one():
    return _task("one")


@task
def two():
    return _task("two")


@task
def three():
    return _task("three")
"""
SNAKEFILE = """\
rule all:
    input: expand("out/{m}-{t}.json", m=config["models"].split(","), t=config["tasks"].split(","))
rule evaluation:
    output: "out/{m}-{t}.json"
    shell: "python3 ask.py {config[url]}/chat/completions {wildcards.m} {wildcards.t} {output}"
"""


class Stub(ThreadingHTTPServer):
    """An endpoint that answers in one way and counts what it answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answered: Counter[tuple[str, str]] = Counter()
        self.way = "well"
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Stub

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": name} for name in MODELS]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = str(body["messages"][-1]["content"])
        number = "".join(re.findall(r"\d+", question)[-1:])
        time.sleep(SECONDS)
        text = {"well": number, "cut": number[:1], "empty": ""}.get(self.server.way, "")
        if self.server.way == "error":
            self._send({"error": {"message": "the model broke", "code": 500}})
        else:
            reason = "length" if self.server.way == "cut" else "stop"
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "finish_reason": reason, "message": message}
            usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
            head = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
            self._send({**head, "choices": [choice], "usage": usage})
        if question.startswith(QUESTION):  # others are of a preflight
            self.server.answered[body["model"], question] += 1

    def _send(self, data: dict[str, Any]) -> None:
        text = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def write(folder: Path, url: str, models: tuple[str, ...], tasks: tuple[str, ...]) -> None:
    """Write the files of all tools into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, task in enumerate(TASKS):
        numbers = range(1000 * (index + 1), 1000 * (index + 1) + QUESTIONS)
        items = [{"question": f"{QUESTION} {n}", "answer": str(n)} for n in numbers]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))
        lm_eval = {
            "task": task, "dataset_path": "json", "test_split": "test",
            "dataset_kwargs": {"data_files": {"test": str(folder / f"{task}.jsonl")}},
            "output_type": "generate_until", "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
            "metric_list": [{"metric": "exact_match", "higher_is_better": True}],
        }  # fmt: skip
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(lm_eval))
    (folder / "ask.py").write_text(ASK)
    (folder / "tasks.py").write_text(INSPECT)
    (folder / "Snakefile").write_text(SNAKEFILE)
    endpoint = {"url": url}
    benchmark = {
        "harness": "generic", "files": {"ask.py": "ask.py"},
        "metrics": {"file": "f.json", "values": {"accuracy": {"value": "accuracy", "n": "n"}}},
    }  # fmt: skip
    benchmarks = {}
    for task in tasks:
        (folder / f"b-{task}").mkdir(exist_ok=True)
        for name in ("ask.py", f"{task}.jsonl"):
            (folder / f"b-{task}" / name).write_text((folder / name).read_text())
        command = f"python3 ask.py {{{{ url }}}} {{{{ model_id }}}} {task} {{{{ results }}}}/f.json"
        benchmarks[task] = {**benchmark, "files": f"b-{task}", "command": command}
    config = {
        "name": "compare", "runtime": "process",
        "models": {m: {"endpoint": {**endpoint, "model_id": m}} for m in models},
        "benchmarks": benchmarks,
    }  # fmt: skip
    (folder / "evaluation.yaml").write_text(yaml.safe_dump(config))
