"""The gateway that travels with a job of Lepton."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton import jobs
from snakeval.matrix.expand import expand
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, MODEL, config

KEY = "sk-canary-of-this-machine"
ASKS = COMMAND | {"image": "i", "command": "ask {{ url }} {{ base_url }} > {{ results }}/f"}


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    return RunDirectory(tmp_path / "run").evaluation("m/b")


def evaluated(tmp_path: Path, **benchmark: Any) -> Evaluation:
    model = {"endpoint": MODEL["endpoint"] | {"api_key_name": "MY_KEY"}}
    settings = {"models": {"m": model}, "benchmarks": {"b": ASKS | benchmark}}
    return expand(config(tmp_path, settings))[0]


def sent(job: dict[str, Any], name: str) -> Path:
    """Where a file is here that the job gets."""
    return next(Path(here) for here, there in job["inputs"].items() if there.endswith(name))


def test_the_harness_asks_the_gateway_and_without_python_the_model(
    tmp_path: Path, directory: EvaluationDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    evaluation = evaluated(tmp_path)
    job: dict[str, Any] = jobs.job(evaluation, directory, "run", {}, {})
    through, direct = job["command"].split("; else ")
    assert "ask http://127.0.0.1:1/gateway/m/" in through
    assert evaluation.identity.endpoint_url not in through
    assert f"ask {evaluation.identity.endpoint_url} " in direct
    assert job["secrets"] == {"API_KEY": "MY_KEY"}
    text = (sent(job, "/ledger") / "config.json").read_text()
    assert KEY not in text
    upstream = json.loads(text)["upstreams"]["m"]
    assert (upstream["url"], upstream["key_from"]) == (evaluation.identity.endpoint_url, "API_KEY")


def test_the_same_evaluation_makes_the_same_job_and_files(
    tmp_path: Path, directory: EvaluationDirectory
) -> None:
    evaluation = evaluated(tmp_path)
    first: dict[str, Any] = jobs.job(evaluation, directory, "run", {}, {})
    program = sent(first, ".pyz").read_bytes()
    assert jobs.job(evaluation, directory, "run", {}, {}) == first
    assert sent(first, ".pyz").read_bytes() == program


def test_the_program_runs_where_no_snakeval_is(
    tmp_path: Path, directory: EvaluationDirectory
) -> None:
    job: dict[str, Any] = jobs.job(evaluated(tmp_path), directory, "run", {}, {})
    config = json.loads((sent(job, "/ledger") / "config.json").read_text())
    config |= {"directory": str(tmp_path / "requests"), "says": ["hello"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    program, command = str(sent(job, ".pyz")), ["sh", "-c", "exit 5"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", program, str(tmp_path / "config.json"), *command],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (5, "snakeval: hello\n")
    assert (tmp_path / "requests/summary.json").exists()


def test_without_the_ledger_a_job_has_no_gateway(
    tmp_path: Path, directory: EvaluationDirectory
) -> None:
    evaluation = evaluated(tmp_path, ledger="off")
    job: dict[str, Any] = jobs.job(evaluation, directory, "run", {}, {})
    assert "ledger" not in job["command"]
    assert not job["inputs"]
