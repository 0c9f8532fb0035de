"""`snakeval.run` in a program: the table and the samples of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import snakeval
from snakeval.cli.launch import snakemake_process
from support import forks
from support.configs import MODEL

SAMPLES = {"file": "s.jsonl", "id": "id", "scores": {"acc": "acc"}}
GOOD = {
    "harness": "generic",
    "command": """echo '{"acc": 1, "n": 1}' > {{ results }}/f.json
echo '{"id": "q", "acc": 1}' > {{ results }}/s.jsonl""",
    "metrics": {
        "file": "f.json",
        "values": {"acc": {"value": "acc", "n": "n"}},
        "samples": SAMPLES,
    },
}


def test_a_program_runs_and_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(snakemake_process, "subprocess", forks.module())
    monkeypatch.chdir(tmp_path)
    fails = {**GOOD, "command": "exit 3"}
    keys = {"models": {"m": MODEL}, "benchmarks": {"good": GOOD, "fails": fails}}
    run = snakeval.run(keys, options=["--config", "preflight=false", "--quiet", "all"])
    frame = snakeval.results(run).set_index("benchmark")
    assert frame.loc["good", "value"] == 1
    assert frame.loc["fails", "status"] == "failed"
    assert list(snakeval.samples(run)["id"]) == ["q"]
