"""Tests the adapter of NVIDIA's eval-factory images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import nemo
from snakeval.harnesses.adapter import Paths
from snakeval.harnesses.reading import read_metrics
from snakeval.matrix.expand import expand
from support.configs import COMMAND, VALID, config

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


def test_the_run_configuration_has_all_parameters(evaluation: Evaluation) -> None:
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
        "adapter_config": {"use_caching": False}, "api_key_name": "SNAKEVAL_API_KEY",
    }  # fmt: skip
    assert command.secrets == {"SNAKEVAL_API_KEY": "KEY"}


@pytest.mark.parametrize(
    ("task", "own", "expected"),
    [
        ("lm-evaluation-harness.ifeval", {}, ["/t", "huggingface"]),
        ("lm-evaluation-harness.ifeval", {"tokenizer": "o/m"}, ["o/m", None]),
        ("lm-evaluation-harness.ifeval", {"tokenizer_backend": "tiktoken"}, [None, "tiktoken"]),
        ("simple_evals.gpqa_diamond", {}, [None, None]),
    ],
)
def test_lm_evaluation_harness_gets_the_tokenizer_unless_the_user_chooses_one(
    evaluation: Evaluation, task: str, own: dict[str, str], expected: list[str | None]
) -> None:
    harness, _, name = task.partition(".")
    identity = replace(evaluation.identity, harness=harness, task=name, params={"extra": own})
    paths = Paths("/results", "/inputs", "http://host/v1/completions", tokenizer="/t")
    command = nemo.command(replace(evaluation, identity=identity), paths)
    extra = yaml.safe_load(command.inputs["run_config.yml"])["config"]["params"]["extra"]
    assert [extra.get("tokenizer"), extra.get("tokenizer_backend")] == expected


def adapter_of(evaluation: Evaluation, config: object) -> Any:
    """Return the adapter's configuration in the run configuration for `extra.adapter_config`."""
    params = {"extra": {"num_fewshot": 1, "adapter_config": config}}
    evaluation = replace(evaluation, identity=replace(evaluation.identity, params=params))
    command = nemo.command(evaluation, Paths("/results", "/inputs", "http://host/v1/chat"))
    written = yaml.safe_load(command.inputs["run_config.yml"])
    assert written["config"]["params"]["extra"] == {"num_fewshot": 1}
    return written["target"]["api_endpoint"]["adapter_config"]


def test_the_endpoint_has_the_adapters_configuration_and_extra_does_not(
    evaluation: Evaluation,
) -> None:
    config = {"use_caching": True, "use_request_logging": True, "custom_system_prompt": None}
    assert adapter_of(evaluation, config) == {"use_caching": True, "use_request_logging": True}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (None, {"use_caching": False}),
        ({}, {"use_caching": False}),
        ({"use_caching": None}, {"use_caching": False}),
        ({"use_request_logging": True}, {"use_caching": False, "use_request_logging": True}),
        ({"use_caching": True}, {"use_caching": True}),
        # an empty list configures nothing, so the adapter's defaults would apply
        ({"interceptors": []}, {"use_caching": False, "interceptors": []}),
        # the adapter rejects use_caching beside interceptors
        (
            {"interceptors": [{"name": "endpoint"}]},
            {"interceptors": [{"name": "endpoint", "config": {}}]},
        ),
    ],
)
def test_the_cache_of_answers_is_off_unless_the_user_sets_it(
    evaluation: Evaluation, given: object, written: dict[str, Any]
) -> None:
    assert adapter_of(evaluation, given) == written


def test_the_cache_setting_does_not_change_the_fingerprint(evaluation: Evaluation) -> None:
    assert "use_caching" not in json.dumps(evaluation.identity.params)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"caching_dir": "./mine"}, {"use_caching": False, "caching_dir": "/results/mine"}),
        ({"caching_dir": "/shared"}, {"use_caching": False, "caching_dir": "/shared"}),
        (
            {"interceptors": ["caching", "endpoint"]},
            {
                "interceptors": [
                    {"name": "caching", "config": {"cache_dir": "/results/cache"}},
                    {"name": "endpoint", "config": {}},
                ]
            },
        ),
        (
            {"interceptors": [{"name": "caching", "config": {"cache_dir": "answers"}}]},
            {"interceptors": [{"name": "caching", "config": {"cache_dir": "/results/answers"}}]},
        ),
        # null means without limit there, and what is wrong is the harness's to tell
        (
            {"interceptors": [{"name": "request_logging", "config": {"max_requests": None}}, 3]},
            {"interceptors": [{"name": "request_logging", "config": {"max_requests": None}}, 3]},
        ),
    ],
)
def test_the_adapter_keeps_its_files_below_the_results(
    evaluation: Evaluation, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert adapter_of(evaluation, given) == kept


def test_the_adapters_configuration_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    def fingerprint(**extra: Any) -> str:
        row = {"task": "lm-evaluation-harness.ifeval", "params": {"extra": extra}}
        return expand(config(tmp_path, VALID | {"benchmarks": {"b": row}}))[0].fingerprint

    assert fingerprint() != fingerprint(adapter_config={"use_system_prompt": True})


@pytest.mark.parametrize(
    ("benchmark", "sentence"),
    [
        ({"task": "lm-eval.ifeval"}, "requires an eval-factory harness, and lm-eval is not"),
        (COMMAND, "requires an eval-factory harness, and generic is not"),
        ({"task": "lm-evaluation-harness.ifeval"}, "must hold keys and values, not 3"),
    ],
)
def test_an_adapter_of_another_harness_is_an_error_that_names_it(
    tmp_path: Path, benchmark: dict[str, Any], sentence: str
) -> None:
    row = benchmark | {"params": {"extra": {"adapter_config": 3}}}
    with pytest.raises(ConfigError, match=rf"benchmarks\.b: .*extra\.adapter_config {sentence}"):
        expand(config(tmp_path, VALID | {"benchmarks": {"b": row}}))


def test_metrics_has_tasks_groups_and_nested_groups(tmp_path: Path, evaluation: Evaluation) -> None:
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
        ("- a", "results.yml is not a results file: it is a list and has no keys; see the"),
        ("a: 1", "results.yml is not a results file: it has no key results"),
        ("results: {tasks: [t]}", "`results.tasks` is a list and has no keys"),
        ("results: {tasks: {t: {metrics: {m: {scores: {s: 1}}}}}}", "scores.s` is a number and"),
        ("results: {tasks: {}}", "without a single metric"),
        (
            "results: {tasks: {t: {metrics: {m: {scores: {s: {value: .nan}}}}}}}",
            "t: m.s is nan",
        ),
    ],
)
def test_invalid_results_are_an_error_with_a_reason(
    tmp_path: Path, evaluation: Evaluation, text: str | None, reason: str
) -> None:
    if text is not None:
        (tmp_path / "results.yml").write_text(text)
    with pytest.raises(EvaluationError) as refused:
        read_metrics(evaluation, tmp_path)
    assert reason in str(refused.value)


def test_names_that_yaml_reads_as_numbers_remain_names(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    text = "results: {tasks: {2024: {metrics: {1: {scores: {1: {value: 0.5}}}}}}}"
    (tmp_path / "results.yml").write_text(text)
    (metric,) = read_metrics(evaluation, tmp_path)
    assert (metric.task, metric.metric, metric.filter) == ("2024", "1", "")


def test_unreadable_results_are_an_error_with_a_reason(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    (tmp_path / "results.yml").mkdir()
    with pytest.raises(EvaluationError, match=r"cannot be read: .*results\.yml \(a directory"):
        read_metrics(evaluation, tmp_path)


def test_samples_have_the_metrics_names_of_the_results(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    place = tmp_path / "model"
    place.mkdir()
    (place / "results_1.json").write_text("{}")
    sample = {"doc_id": 0, "metrics": ["acc"], "acc": 1}
    lines = [json.dumps(sample | {"filter": name}) for name in ("none", "strict")]
    (place / "samples_demo_1.jsonl").write_text("\n".join(lines))
    found = list(nemo.samples(evaluation, tmp_path))
    assert [each.scores for each in found] == [{"acc": 1}, {"acc__strict": 1}]
