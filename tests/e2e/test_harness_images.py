"""Real harnesses in real containers, against the demo's models, whose scores are known."""

from __future__ import annotations

import http.server
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.demo.behaviour import MODELS
from snakeval.demo.items import benchmarks, expected_score
from snakeval.demo.server import DemoServer, serve
from support.engine import containers_of
from support.limits import HUNG
from support.workspace import REPOSITORY, Workspace

TASKS = REPOSITORY / "config" / "benchmarks" / "demo"
LM_EVAL = "snakeval/lm-eval:0.4.13"
EVAL_FACTORY = "snakeval-testbed/eval-factory:26.3"

pytestmark = pytest.mark.images


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with serve() as running:
        yield running


def matrix(directory: Path, url: str, models: Iterable[str], rows: dict[str, Any]) -> Workspace:
    endpoints = {m: {"endpoint": {"url": f"{url}/v1", "model_id": m}} for m in models}
    return Workspace.below(directory, runtime="docker", models=endpoints, benchmarks=rows)


def lm_eval_rows(names: list[str]) -> dict[str, Any]:
    return {
        name: {"harness": "lm-eval", "task": f"demo_{name}", "files": str(TASKS)} for name in names
    }


def finished(work: Workspace, *options: str) -> str:
    done = work.snakemake(*options)
    assert done.exit_code == 0, done.output
    return done.output


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=HUNG, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scores_equal_those_of_the_harness_run_by_hand(tmp_path: Path, server: DemoServer) -> None:
    work = matrix(tmp_path, server.url, MODELS, lm_eval_rows(benchmarks()))
    finished(work)
    table = work.table()
    assert len(table) == 6
    for model in MODELS:
        out = tmp_path / "by-hand" / model
        out.mkdir(parents=True)
        docker(
            *("run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"),
            *("-e", "HF_HOME=/tmp/hf", "-v", f"{TASKS}:/tasks:ro", "-v", f"{out}:/out"),
            *("-w", "/tasks", LM_EVAL, "lm_eval", "--model", "local-chat-completions"),
            *("--model_args", f"model={model},base_url={server.url}/v1/chat/completions"),
            *("--tasks", ",".join(f"demo_{name}" for name in benchmarks())),
            *("--include_path", ".", "--apply_chat_template", "--output_path", "/out"),
        )
        (file,) = out.glob("*/results_*.json")
        by_hand = json.loads(file.read_text())["results"]
        for name in benchmarks():
            row = table.loc[f"{model}/{name}"]
            filtered = f"exact_match,{row['filter']}"
            assert row["value"] == by_hand[f"demo_{name}"][filtered]
            assert row["value"] == expected_score(model, name)
            assert row["stderr"] == by_hand[f"demo_{name}"][filtered.replace(",", "_stderr,")]
            assert row["n"] == 40


def test_the_eval_factory_contract_yields_the_scores_of_results_yml(
    tmp_path: Path, server: DemoServer
) -> None:
    benchmark = {
        "task": "lm-evaluation-harness.ifeval",
        "image": EVAL_FACTORY,
        "files": str(TASKS),
        "params": {"task": "demo_arithmetic", "extra": {"args": "--include_path ."}},
    }
    work = matrix(tmp_path, server.url, ["sloppy"], {"own-task": benchmark})
    finished(work)
    written_file = work.run / "sloppy/own-task/artifacts/results.yml"
    section = yaml.safe_load(written_file.read_text())["results"]["tasks"]["demo_arithmetic"]
    written = {
        (name, score if score != name else ""): entry
        for name, metric in section["metrics"].items()
        for score, entry in metric["scores"].items()
    }
    table = work.table()
    table["filter"] = table["filter"].astype(object).fillna("")
    assert written.keys() == {(r.metric, r.filter) for r in table.itertuples()}
    for row in table.itertuples():
        entry = written[row.metric, row.filter]
        assert row.value == entry["value"] == expected_score("sloppy", "arithmetic")
        assert row.stderr == entry["stats"]["stderr"]
        assert row.ci_note == "Wilson, 40 samples"


def killed_after(work: Workspace, server: DemoServer, answers: int, *, head: bool = False) -> str:
    """Start the run, and kill its container when the server has given so many answers.

    Kill its *head* before. Return what the head printed.
    """
    running = work.start()
    while server.stats()["answered"] < answers:
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.05)
    (container,) = containers_of(work.run)
    if head:
        os.kill(running.pid, signal.SIGKILL)
    kill = ["docker", "kill", "--signal", "KILL", container]
    # A job whose head is dead also stops its container.
    subprocess.run(kill, capture_output=True, timeout=HUNG, check=not head)
    output, _ = running.communicate(timeout=HUNG)
    return output


def test_the_adapter_of_the_eval_factory_logs_and_no_answer_is_requested_twice(
    tmp_path: Path,
) -> None:
    adapter = {"use_request_logging": True, "max_logged_requests": 3}
    benchmark = {
        "task": "lm-evaluation-harness.ifeval",
        "image": EVAL_FACTORY,
        "files": str(TASKS),
        "params": {
            "task": "demo_arithmetic",
            "extra": {"args": "--include_path .", "adapter_config": adapter},
        },
    }
    with serve(delay=0.4) as server:
        work = matrix(tmp_path, server.url, ["sloppy"], {"adapted": benchmark})
        output = killed_after(work, server, 15)
        assert "the harness was killed (SIGKILL)" in output
        finished(work)
        assert server.stats()["answered"] == server.stats()["requests"] == 40
    assert set(work.table()["value"]) == {expected_score("sloppy", "arithmetic")}
    log = (work.run / "sloppy/adapted/logs/harness.log").read_text()
    assert log.count("Incoming request") == 3
    record = json.loads((work.run / "sloppy/adapted/evaluation.json").read_text())
    paths = {entry["path"] for entry in record["manifest"]}
    assert "results.yml" in paths
    assert not [path for path in paths if "cache" in path]
    published = work.run / "sloppy/adapted/artifacts"
    written = yaml.safe_load((published / "run_config.yml").read_text())
    interceptors = written["target"]["api_endpoint"]["adapter_config"]["interceptors"]
    assert "request_logging" in {interceptor["name"] for interceptor in interceptors}


def test_after_kill_9_of_snakemake_and_of_the_container_the_rest_is_done_and_nothing_twice(
    tmp_path: Path,
) -> None:
    with serve(delay=0.4) as server:
        rows = lm_eval_rows(["sorting", "arithmetic"])
        work = matrix(tmp_path, server.url, ["careful"], rows)
        finished(work, "--config", "benchmarks=sorting")
        sorting = work.table().loc["careful/sorting"]
        before = server.stats()["answered"]
        assert before == 40

        killed_after(work, server, before + 15, head=True)
        until = time.monotonic() + HUNG
        while containers_of(work.run):
            assert time.monotonic() < until, "a container is left"
            time.sleep(0.1)

        finished(work)
        table = work.table()
        assert server.stats()["answered"] - before == server.stats()["requests"] - before == 40
        assert table.loc["careful/arithmetic", "value"] == expected_score("careful", "arithmetic")
        assert table.loc["careful/sorting", "finished"] == sorting["finished"]
        assert "Nothing to be done" in finished(work)


class ObeysSeeds(http.server.BaseHTTPRequestHandler):
    """A model that samples, and answers equal requests with one seed equally, as vLLM does."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seed = request.get("seed")
        key = None if seed is None else f"{seed} {request['messages']}"
        answer = {"role": "assistant", "content": str(random.Random(key).randrange(10**6))}
        choice = {"index": 0, "message": answer, "finish_reason": "stop"}
        body = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


ROLLS = """\
task: rolls
dataset_path: json
dataset_kwargs: {data_files: {test: rolls.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Roll {{number}}:"
doc_to_target: "0"
repeats: 3
generation_kwargs: {until: [], do_sample: true, temperature: 0.9}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def test_several_answers_to_a_question_share_no_seed(tmp_path: Path) -> None:
    files = tmp_path / "task"
    files.mkdir()
    (files / "rolls.yaml").write_text(ROLLS)
    (files / "rolls.jsonl").write_text("".join(f'{{"number": {n}}}\n' for n in range(20)))
    rows = {"rolls": {"harness": "lm-eval", "task": "rolls", "files": str(files)}}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ObeysSeeds) as model:
        threading.Thread(target=model.serve_forever, daemon=True).start()
        work = matrix(tmp_path, f"http://127.0.0.1:{model.server_port}", ["m"], rows)
        finished(work)
        model.shutdown()
    (samples,) = work.run.glob("m/rolls/artifacts/*/samples_*.jsonl")
    answers = [json.loads(line)["resps"][0] for line in samples.read_text().splitlines()]
    assert [len(each) for each in answers] == [3] * 20
    assert [each for each in answers if len(set(each)) == 1] == []
