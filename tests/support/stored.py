"""Evaluations that finished with stored answers, for what scores them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import LEDGER, Metric
from support.configs import COMMAND
from support.made import begin, completion

JUDGED = COMMAND | {"auxiliary": ["j"], "command": "ask {{ url }}"}
KEYED = {"endpoint": {"url": "http://host/v1", "model_id": "m", "api_key_name": "MODEL_KEY"}}
JUDGE = {"endpoint": {"url": "http://judge/v1", "model_id": "j", "api_key_name": "JUDGE_KEY"}}
#: One evaluation asks a judge; all endpoints have keys.
STORED: dict[str, Any] = {
    "models": {"m": KEYED},
    "auxiliary": {"j": JUDGE},
    "benchmarks": {"b": COMMAND | {"command": "ask {{ url }}", "image": "harness:1"}, "c": JUDGED},
}


def finish(
    evaluation: Evaluation, place: EvaluationDirectory, *metrics: Metric, ledger: str = "on"
) -> None:
    """Finish an evaluation, with a journal of each model if its ledger is on."""
    place.define(evaluation)
    begin(place, evaluation.fingerprint)
    record = completion(evaluation, place, metrics)
    place.complete(replace(record, versions={} if ledger == "off" else {LEDGER: ledger}))
    for model in (evaluation.model, *evaluation.identity.auxiliary) if ledger == "on" else ():
        folder = place.requests / model
        folder.mkdir(parents=True)
        (folder / "0001.journal").write_text(f"answers of {model}")
