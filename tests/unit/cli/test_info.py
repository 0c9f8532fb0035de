"""`snakeval info TASK`."""

from __future__ import annotations

import json

import pytest
import yaml

from snakeval.cli import first_config
from snakeval.config.load import load
from support.configs import MODEL, write
from support.made import snakeval

Capture = pytest.CaptureFixture[str]


def test_info_lists_image_types_defaults_and_variables_of_a_task(capsys: Capture) -> None:
    said = snakeval(capsys, "info", "tau2_bench_telecom")
    facts = dict(line.split("  ", 1) for line in said.out.splitlines() if "  " in line)
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["task"] == "tau2_bench.tau2_bench_telecom"
    assert facts["image"] == "nvcr.io/nvidia/eval-factory/tau2-bench:26.03"
    assert facts["image digest"].startswith("sha256:")
    assert facts["endpoint types"] == "chat"
    assert facts["variables"] == (
        "JUDGE_API_KEY (params.extra.judge.api_key), USER_API_KEY (params.extra.user.api_key)"
    )
    assert "  max_new_tokens: 16384\n" in said.out


def test_info_names_the_token_of_a_gated_data_set(capsys: Capture) -> None:
    said = snakeval(capsys, "info", "lm-eval.gpqa_diamond_cot_zeroshot")
    (line,) = [line for line in said.out.splitlines() if line.startswith("variables ")]
    assert line.split(None, 1)[1] == "HF_TOKEN (gated data set Idavidrein/gpqa)"


def test_of_several_harnesses_it_shows_the_task_that_eval_runs(capsys: Capture) -> None:
    said = snakeval(capsys, "info", "gsm8k")
    assert said.err == "note: gsm8k is lm-eval.gsm8k here; also: lm-evaluation-harness.gsm8k\n"
    assert said.out == snakeval(capsys, "info", "lm-eval.gsm8k").out
    assert first_config.tasks(["gsm8k"], "chat") == {"gsm8k": "lm-eval.gsm8k"}


def test_programs_get_json(capsys: Capture) -> None:
    facts = json.loads(snakeval(capsys, "info", "lm-eval.gsm8k", "--json").out)
    assert facts["endpoint types"] == ["chat", "completions"]
    assert facts["without a container"] is True


def test_its_last_lines_are_a_benchmark_that_loads(capsys: Capture, tmp_path: object) -> None:
    said = snakeval(capsys, "info", "lm-eval.gsm8k")
    benchmark = yaml.safe_load(said.out.partition("configuration:\n")[2])
    config, _, _ = load([write(tmp_path, {"models": {"m": MODEL}, **benchmark})])  # type: ignore[arg-type]
    assert config.benchmarks["gsm8k"].task == "lm-eval.gsm8k"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("humaneval", "write one of bigcode-evaluation-harness.humaneval, simple_evals.humaneval"),
        ("gsm8kk", "did you mean 'gsm8k'"),
    ],
)
def test_ambiguous_and_unknown_names_are_one_sentence(
    capsys: Capture, task: str, sentence: str
) -> None:
    said = snakeval(capsys, "info", task)
    assert said.exit_code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
