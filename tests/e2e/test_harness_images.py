"""Real harnesses in real containers, against the demo's models, whose scores are known."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from snakeval.demo.items import benchmarks, expected_score
from snakeval.demo.server import MODELS, DemoServer, serve

REPOSITORY = Path(__file__).parents[2]
TASKS = REPOSITORY / "config" / "benchmarks" / "demo"
LM_EVAL = "snakeval/lm-eval:0.4.13"
EVAL_FACTORY = "snakeval-testbed/eval-factory:26.3"

pytestmark = pytest.mark.images


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with serve() as running:
        yield running


def write_config(directory: Path, url: str, models: list[str], rows: dict[str, Any]) -> None:
    endpoints = {m: {"endpoint": {"url": f"{url}/v1", "model_id": m}} for m in models}
    config = {"runtime": "docker", "models": endpoints, "benchmarks": rows}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))


def lm_eval_rows(names: list[str]) -> dict[str, Any]:
    return {
        name: {"harness": "lm-eval", "task": f"demo_{name}", "files": str(TASKS)} for name in names
    }


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--profile", str(REPOSITORY / "profiles" / "local")),
            *("--configfile", "config.yaml", "--cores", "2", *options),
        ],
        cwd=directory,
        env=os.environ | {"SNAKEVAL_HOME": str(directory / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def snakemake(directory: Path, *options: str) -> str:
    process = start(directory, *options)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def results(directory: Path) -> pd.DataFrame:
    (file,) = directory.glob("results/*/results.csv")
    return pd.read_csv(file, keep_default_na=False, na_values=[""])


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scores_equal_those_of_the_harness_run_by_hand(tmp_path: Path, server: DemoServer) -> None:
    write_config(tmp_path, server.url, list(MODELS), lm_eval_rows(benchmarks()))
    snakemake(tmp_path)
    table = results(tmp_path).set_index(["model", "benchmark"])
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
            row = table.loc[(model, name)]
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
    write_config(tmp_path, server.url, ["sloppy"], {"own-task": benchmark})
    snakemake(tmp_path)
    (file,) = tmp_path.glob("results/*/sloppy/own-task/artifacts/results.yml")
    section = yaml.safe_load(file.read_text())["results"]["tasks"]["demo_arithmetic"]
    written = {
        (name, score if score != name else ""): entry
        for name, metric in section["metrics"].items()
        for score, entry in metric["scores"].items()
    }
    table = results(tmp_path)
    table["filter"] = table["filter"].astype(object).fillna("")
    assert written.keys() == {(r.metric, r.filter) for r in table.itertuples()}
    for row in table.itertuples():
        entry = written[row.metric, row.filter]
        assert row.value == entry["value"] == expected_score("sloppy", "arithmetic")
        assert row.stderr == entry["stats"]["stderr"]


def answers_kept(directory: Path) -> int:
    """How many answers the harness's cache holds."""
    kept = 0
    for file in directory.glob("results/*/careful/arithmetic/artifacts/cache/*.db"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as cache:
            for (table,) in cache.execute("SELECT name FROM sqlite_master WHERE type='table'"):
                kept += cache.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    return kept


def test_after_kill_9_of_snakemake_and_of_the_container_the_rest_is_done_and_nothing_twice(
    tmp_path: Path,
) -> None:
    with serve(delay=0.4) as server:
        write_config(tmp_path, server.url, ["careful"], lm_eval_rows(["sorting", "arithmetic"]))
        snakemake(tmp_path, "--config", "benchmarks=sorting")
        finished = results(tmp_path).set_index("benchmark").loc["sorting"]
        before = server.stats()["answered"]
        assert before == 40

        head = start(tmp_path)
        while server.stats()["answered"] < before + 15:
            assert head.poll() is None, head.communicate()[0]
            time.sleep(0.05)
        (container,) = docker("ps", "-q", "--filter", "label=snakeval.evaluation").split()
        os.kill(head.pid, signal.SIGKILL)
        docker("kill", "--signal", "KILL", container)
        head.communicate(timeout=60)
        until = time.monotonic() + 60
        while docker("ps", "-aq", "--filter", "label=snakeval.evaluation"):
            assert time.monotonic() < until, "a container is left"
            time.sleep(0.1)

        interrupted, kept = server.stats()["answered"] - before, answers_kept(tmp_path)
        assert 0 < kept < 40
        snakemake(tmp_path)
        table = results(tmp_path).set_index("benchmark")
        assert server.stats()["answered"] - before - interrupted == 40 - kept
        assert table.loc["arithmetic", "value"] == expected_score("careful", "arithmetic")
        assert table.loc["sorting", "finished"] == finished["finished"]
        assert "Nothing to be done" in snakemake(tmp_path)
