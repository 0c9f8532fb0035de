"""Models that a benchmark asks beside the one that it scores: where a harness finds them."""

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
    """The evaluation of a benchmark that asks them: a plain command, or the task that is given."""
    row = (benchmark if "task" in benchmark else COMMAND | benchmark) | {"auxiliary": [*asked]}
    content = {"models": {"m": MODEL}, "auxiliary": AUXILIARY, "benchmarks": {"b": row}}
    return expand(config(tmp_path, content))[0]


def made(tmp_path: Path, *asked: str, **benchmark: Any) -> Command:
    return command(evaluation(tmp_path, *asked, **benchmark), PATHS)


def test_each_one_that_is_asked_has_its_variables_and_a_key_only_by_name(tmp_path: Path) -> None:
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


def test_a_command_names_them_and_each_value_is_quoted(tmp_path: Path) -> None:
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


def test_parameters_name_them_in_whatever_depth(tmp_path: Path) -> None:
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


def test_upstream_lm_eval_gets_them_too(tmp_path: Path) -> None:
    arguments = {"judge": "{{ auxiliary['judge-1'].url }}"}
    row = {"harness": "lm-eval", "task": "mine", "params": {"extra": {"model_args": arguments}}}
    argv = made(tmp_path, "judge-1", **row).argv
    handed = json.loads(argv[argv.index("--model_args") + 1])
    assert handed["judge"] == "http://judge/v1/chat/completions"


def test_braces_are_plain_text_where_nobody_is_asked(tmp_path: Path) -> None:
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
def test_one_that_there_is_not_is_refused_before_anything_runs(
    tmp_path: Path, benchmark: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(tmp_path, "embedder", **benchmark)
    assert str(refused.value) == f"benchmarks.b: {sentence}; correct it"
