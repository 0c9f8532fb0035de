"""A run to export: one evaluation is done, one failed, one was never evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakeval.evaluation.record import Metric
from support.made import Made, completion
from support.sampled import Sampled

EXACT = 0.1234567890123456


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "good", "bad", "to_do")
    place = run.begun("good", "thinking")
    (place.artifacts / "results_1.json").write_text(json.dumps({"acc": EXACT}))
    (place.artifacts / "big.bin").write_bytes(bytes(2500))
    metric = Metric("good", "acc", EXACT, stderr=0.05, n=40, higher_is_better=True)
    place.complete(completion(run.evaluations["good"], place, (metric,)))
    run.failed("bad", "no such data set")
    return run


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sampled:
    """A run of three checkpoints, of which one is not evaluated yet, and of their base model."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    found = {"run7@1000": {"b": [1, 1]}, "run7@200": {"b": [1, 0]}, "run7@3000": {"b": None}}
    return Sampled(tmp_path, {**found, "base": {"b": [0, 0]}}, id="0123abcd")
