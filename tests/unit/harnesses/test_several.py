"""Several samples of one question do not share a seed, unless the configuration sets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import lm_eval, nemo
from snakeval.harnesses.adapter import Paths
from snakeval.harnesses.several import may_be_equal
from snakeval.matrix.expand import expand
from support.configs import MODEL, config

PATHS = Paths("/results", "/inputs", "http://host/v1/chat/completions")


def evaluations(tmp_path: Path, **benchmark: Any) -> tuple[Evaluation, ...]:
    return expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}))


def gen_kwargs(evaluation: Evaluation) -> dict[str, Any]:
    argv = lm_eval.command(evaluation, PATHS).argv
    if "--gen_kwargs" not in argv:
        return {}
    found: dict[str, Any] = json.loads(argv[argv.index("--gen_kwargs") + 1])
    return found


def own_task(tmp_path: Path, text: str, **benchmark: Any) -> tuple[Evaluation, ...]:
    files = tmp_path / "files"
    files.mkdir(exist_ok=True)
    (files / "mine.yaml").write_text(text)
    return evaluations(tmp_path, harness="lm-eval", task="mine", files=str(files), **benchmark)


@pytest.mark.parametrize(
    "benchmark",
    [
        {"harness": "lm-eval", "task": "gsm8k_cot_self_consistency"},
        {"harness": "lm-eval", "task": "mine", "params": {"task": "cruxeval_output"}},
        {"harness": "lm-eval", "task": "x", "params": {"extra": {"gen_kwargs": {"do_sample": 1}}}},
    ],
)
def test_lm_eval_sends_no_seed_if_a_task_samples(tmp_path: Path, benchmark: dict[str, Any]) -> None:
    (made,) = evaluations(tmp_path, **benchmark)
    assert gen_kwargs(made)["seed"] is None


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("task: mine\nrepeats: 3\n", True),
        ("task: mine\nrepeats: 64\n", True),
        ("include: gsm8k-cot-self-consistency.yaml\ntask: mine\n", True),
        ("task: mine\nrepeats: 1\n", False),
        ("task: mine\n", False),
    ],
)
def test_a_task_file_with_repeats_drops_the_seed(tmp_path: Path, text: str, dropped: bool) -> None:
    (made,) = own_task(tmp_path, text)
    assert gen_kwargs(made) == ({"seed": None} if dropped else {})


def test_a_seed_of_the_configuration_stays_and_the_seed_of_a_repeat_does_not(
    tmp_path: Path,
) -> None:
    text = "task: mine\nrepeats: 3\n"
    (made,) = own_task(tmp_path, text, params={"seed": 7})
    assert "seed" not in gen_kwargs(made)
    (made,) = own_task(tmp_path, text, params={"extra": {"gen_kwargs": {"seed": 8}}})
    assert gen_kwargs(made) == {"seed": 8}
    first, second = own_task(tmp_path, text, repeats=2)
    assert second.identity.params["seed"] == 2
    assert gen_kwargs(first) == gen_kwargs(second) == {"seed": None}


def adapter_config(tmp_path: Path, **params: Any) -> dict[str, Any]:
    row = {"harness": "livecodebench", "task": "x", "params": params}
    (made,) = evaluations(tmp_path, **row)
    text = nemo.command(made, PATHS).inputs["run_config.yml"]
    found: dict[str, Any] = yaml.safe_load(text)["target"]["api_endpoint"]["adapter_config"]
    return found


def test_the_adapter_of_eval_factory_images_removes_the_seed_of_several_samples(
    tmp_path: Path,
) -> None:
    assert adapter_config(tmp_path) == {"use_caching": False}
    assert adapter_config(tmp_path, extra={"n_samples": 1}) == {"use_caching": False}
    several = {"n_samples": 10}
    removed = {"use_caching": False, "params_to_remove": ["seed"]}
    assert adapter_config(tmp_path, extra=several) == removed
    assert adapter_config(tmp_path, seed=3, extra=several) == {"use_caching": False}
    own = {"params_to_remove": ["stop"]}
    found = adapter_config(tmp_path, extra=several | {"adapter_config": own})
    assert found["params_to_remove"] == ["stop", "seed"]
    listed = several | {"adapter_config": {"interceptors": ["endpoint"]}}
    first, second = adapter_config(tmp_path, extra=listed)["interceptors"]
    assert (first["config"], second["name"]) == ({"params_to_remove": ["seed"]}, "endpoint")


@pytest.mark.parametrize(
    ("task", "equal"),
    [
        ({"repeats": 3, "generation_kwargs": {"do_sample": True}}, True),
        ({"repeats": 3, "generation_kwargs": {"seed": 7}}, True),
        ({"repeats": 3, "generation_kwargs": {"seed": None}}, False),
        ({"repeats": 1, "generation_kwargs": {"do_sample": True}}, False),
    ],
)
def test_the_results_of_lm_eval_reveal_samples_of_one_seed(
    tmp_path: Path, task: dict[str, Any], equal: bool
) -> None:
    (tmp_path / "m").mkdir()
    assert not may_be_equal(tmp_path)
    (tmp_path / "m/results_1.json").write_text(json.dumps({"configs": {"t": task}}))
    assert may_be_equal(tmp_path) is equal
