"""The adapter of NVIDIA's eval-factory contract."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from snakeval.errors import EvaluationError
from snakeval.evaluation import Evaluation
from snakeval.harnesses import Paths, nemo, read_metrics
from snakeval.matrix import expand
from support.configs import config

#: As nemo-evaluator 0.2.8 writes it, shortened.
RESULTS = """
results:
  groups:
    mmlu:
      metrics:
        acc: {scores: {acc: {stats: {stderr: 0.01, count: 100}, value: 0.5}}}
      groups:
        stem:
          metrics:
            acc: {scores: {macro: {stats: {}, value: 0.25}}}
  tasks:
    demo:
      metrics:
        exact_match:
          scores:
            exact_match: {stats: {stderr: 0.075}, value: 0.675}
            strict: {stats: {stderr: null}, value: 0.5}
"""


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    endpoint = {"url": "http://host/v1", "model_id": "m,'=\"", "api_key_name": "KEY"}
    row = {
        "task": "lm-evaluation-harness.ifeval",
        "params": {"limit_samples": 3, "extra": {"args": "--include_path ."}},
    }
    content = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": row}}
    return expand(config(tmp_path, content))[0]


def test_all_parameters_stand_in_the_run_configuration(evaluation: Evaluation) -> None:
    command = nemo.command(evaluation, Paths("/results", "/inputs", "http://host/v1/chat"))
    assert command.argv == (
        "nemo-evaluator", "run_eval", "--run_config", "/inputs/run_config.yml",
    )  # fmt: skip
    written = yaml.safe_load(command.inputs["run_config.yml"])
    assert written["config"]["type"] == "lm-evaluation-harness.ifeval"
    assert written["config"]["output_dir"] == "/results"
    params = written["config"]["params"]
    assert (params["limit_samples"], params["parallelism"]) == (3, 10)
    assert params["extra"]["args"] == "--include_path ."
    assert written["target"]["api_endpoint"] == {
        "url": "http://host/v1/chat", "model_id": "m,'=\"", "type": "chat",
        "api_key_name": "SNAKEVAL_API_KEY",
    }  # fmt: skip
    assert command.secrets == {"SNAKEVAL_API_KEY": "KEY"}


def test_tasks_and_groups_within_groups_are_read(tmp_path: Path, evaluation: Evaluation) -> None:
    (tmp_path / "results.yml").write_text(RESULTS)
    found = {
        (m.task, m.metric, m.filter): (m.value, m.stderr, m.n)
        for m in read_metrics(evaluation, tmp_path)
    }
    assert found == {
        ("demo", "exact_match", ""): (0.675, 0.075, None),
        ("demo", "exact_match", "strict"): (0.5, None, None),
        ("mmlu", "acc", ""): (0.5, 0.01, 100),
        ("stem", "acc", "macro"): (0.25, None, None),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "the harness wrote no results.yml"),
        ("a: [", "results.yml does not parse"),
        ("a: 2026-99-99", "results.yml does not parse: month must be in 1..12"),
        ("- a", "results.yml is no results file"),
        ("results: {tasks: {}}", "without a single metric"),
        (
            "results: {tasks: {t: {metrics: {m: {scores: {s: {value: .nan}}}}}}}",
            "t: m.s is nan",
        ),
    ],
)
def test_results_that_are_none_have_their_reason(
    tmp_path: Path, evaluation: Evaluation, text: str | None, reason: str
) -> None:
    if text is not None:
        (tmp_path / "results.yml").write_text(text)
    with pytest.raises(EvaluationError) as refused:
        read_metrics(evaluation, tmp_path)
    assert reason in str(refused.value)


def test_names_that_are_numbers_to_yaml_are_names(tmp_path: Path, evaluation: Evaluation) -> None:
    text = "results: {tasks: {2024: {metrics: {1: {scores: {1: {value: 0.5}}}}}}}"
    (tmp_path / "results.yml").write_text(text)
    (metric,) = read_metrics(evaluation, tmp_path)
    assert (metric.task, metric.metric, metric.filter) == ("2024", "1", "")


def test_results_that_cannot_be_opened_have_their_reason(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    (tmp_path / "results.yml").mkdir()
    with pytest.raises(EvaluationError, match=r"results cannot be read: .*results\.yml \(Is a dir"):
        read_metrics(evaluation, tmp_path)
