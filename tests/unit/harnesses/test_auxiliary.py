"""Tests how a harness finds the auxiliary models of a benchmark."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import command
from snakeval.harnesses.adapter import Command, Paths
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config

AUXILIARY = {
    "judge-1": {
        "endpoint": {"url": "http://judge/v1", "model_id": "it's j", "api_key_name": "MY_KEY"}
    },
    "embedder": {
        "deployment": {"kind": "vllm", "hf_model_handle": "org/embedder", "type": "embedding"}
    },
}
#: As the job knows them: what is deployed has an address by then.
PATHS = Paths(
    "/results",
    "/inputs",
    "http://host/v1/chat/completions",
    {
        "judge-1": "http://judge/v1/chat/completions",
        "embedder": "http://127.0.0.1:20001/v1/embeddings",
    },
)


def evaluation(tmp_path: Path, *asked: str, **benchmark: Any) -> Evaluation:
    """Return the evaluation of a benchmark that queries them: a plain command, or a given task."""
    row = (benchmark if "task" in benchmark else COMMAND | benchmark) | {"auxiliary": [*asked]}
    content = {"models": {"m": MODEL}, "auxiliary": AUXILIARY, "benchmarks": {"b": row}}
    return expand(config(tmp_path, content))[0]


def made(tmp_path: Path, *asked: str, **benchmark: Any) -> Command:
    return command(evaluation(tmp_path, *asked, **benchmark), PATHS)


def test_each_auxiliary_model_has_variables_and_only_the_name_of_its_key(tmp_path: Path) -> None:
    both = made(tmp_path, "judge-1", "embedder")
    assert both.env == {
        "JUDGE_1_URL": "http://judge/v1/chat/completions",
        "JUDGE_1_MODEL_ID": "it's j",
        "EMBEDDER_URL": "http://127.0.0.1:20001/v1/embeddings",
        "EMBEDDER_MODEL_ID": "org/embedder",
    }
    assert both.secrets == {"JUDGE_1_API_KEY": "MY_KEY"}
    alone = made(tmp_path, "embedder")
    assert alone.env.keys() == {"EMBEDDER_URL", "EMBEDDER_MODEL_ID"}
    assert alone.secrets == {}


def test_a_command_uses_auxiliary_models_and_quotes_each_value(tmp_path: Path) -> None:
    template = (
        "printf '%s\\n' {{ auxiliary['judge-1'].url }} {{ auxiliary['judge-1'].model_id }}"
        " {{ auxiliary['judge-1'].api_key_name }} {{ auxiliary.embedder.base_url }}"
        " {{ auxiliary.embedder.type }}"
    )
    argv = made(tmp_path, "judge-1", "embedder", command=template).argv
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "http://judge/v1/chat/completions",
        "it's j",
        "JUDGE_1_API_KEY",
        "http://127.0.0.1:20001/v1",
        "embedding",
    ]


def test_nested_parameters_use_auxiliary_models(tmp_path: Path) -> None:
    extra = {
        "judge": {
            "url": "{{ auxiliary['judge-1'].url }}",
            "names": ["{{ auxiliary.embedder.url }}"],
        },
        "seed": 1,
        "plain": "as it is",
    }
    row = {"task": "lm-evaluation-harness.ifeval", "params": {"extra": extra}}
    one = evaluation(tmp_path, "judge-1", "embedder", **row)
    written = yaml.safe_load(command(one, PATHS).inputs["run_config.yml"])
    handed = written["config"]["params"]["extra"]
    assert handed["judge"] == {
        "url": "http://judge/v1/chat/completions",
        "names": ["http://127.0.0.1:20001/v1/embeddings"],
    }
    assert (handed["seed"], handed["plain"]) == (1, "as it is")
    # What identifies the result is the template: a server's port is another each time.
    assert one.identity.params["extra"]["judge"] == extra["judge"]


def test_lm_eval_also_gets_auxiliary_models(tmp_path: Path) -> None:
    arguments = {"judge": "{{ auxiliary['judge-1'].url }}"}
    row = {"harness": "lm-eval", "task": "mine", "params": {"extra": {"model_args": arguments}}}
    argv = made(tmp_path, "judge-1", **row).argv
    handed = json.loads(argv[argv.index("--model_args") + 1])
    assert handed["judge"] == "http://judge/v1/chat/completions"


def test_braces_are_plain_text_without_auxiliary_models(tmp_path: Path) -> None:
    text = "{{ not ours }}"
    row = {"command": "echo {{ params.extra.text }}", "params": {"extra": {"text": text}}}
    plain = evaluation(tmp_path, **row)
    assert command(plain, PATHS).argv[2].endswith(f"echo '{text}'")


@pytest.mark.parametrize(
    ("benchmark", "sentence"),
    [
        (
            {"params": {"extra": {"a": ["{{ auxiliary.juge.url }}"]}}},
            "a text of params.extra is not a valid template: 'dict object' has no attribute 'juge'",
        ),
        (
            {"command": "ask {{ auxiliary.juge.url }}"},
            "`command` is not a valid template: 'dict object' has no attribute 'juge'",
        ),
    ],
)
def test_an_unknown_auxiliary_model_is_an_error_before_the_run(
    tmp_path: Path, benchmark: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(tmp_path, "embedder", **benchmark)
    assert str(refused.value) == f"benchmarks.b: {sentence}; correct it"
