"""What evaluations lack besides a model that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.dag.needs import lacking
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.expand import expand
from support.configs import MODEL, config


def found(
    directory: Path, benchmark: dict[str, Any], environment: dict[str, str], **endpoint: Any
) -> list[str]:
    """Return what a benchmark on an endpoint lacks."""
    model = {"endpoint": {"url": "http://h/v1", "model_id": "m", **endpoint}}
    content = {"models": {"m": model}, "benchmarks": {"b": benchmark}}
    environment = {"HF_HOME": str(directory / "hub-cache"), **environment}
    return [str(problem) for problem in lacking(expand(config(directory, content)), environment)]


GATED = {"task": "lm-eval.gpqa_diamond_cot_zeroshot"}


def test_a_gated_data_set_requires_a_token(tmp_path: Path) -> None:
    assert found(tmp_path, GATED, {}) == [
        "benchmarks.b: its data set Idavidrein/gpqa is gated, and $HF_TOKEN is not set; accept its "
        "terms at huggingface.co/datasets/Idavidrein/gpqa, and export HF_TOKEN"
    ]
    assert found(tmp_path, GATED, {"HF_TOKEN": "t"}) == []
    assert found(tmp_path, GATED | {"env": {"HF_TOKEN": "MINE"}}, {"MINE": "t"}) == []
    assert found(tmp_path, {"task": "lm-eval.ifeval"}, {}) == []
    token = tmp_path / "hub-cache" / "token"
    token.parent.mkdir()
    token.touch()
    assert found(tmp_path, GATED, {}) == [], "of a login"


def test_a_data_set_that_is_not_in_the_cache_while_the_hub_is_off(tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "t"}
    assert found(tmp_path, GATED, offline) == [
        "benchmarks.b: its data set Idavidrein/gpqa is not in the cache, and HF_HUB_OFFLINE is "
        "set; unset HF_HUB_OFFLINE for its first run"
    ]
    assert found(tmp_path, GATED, offline | {"HF_HUB_OFFLINE": "0"}) == []
    (tmp_path / "hub-cache" / "hub" / "datasets--Idavidrein--gpqa").mkdir(parents=True)
    assert found(tmp_path, GATED, offline) == []
    assert found(tmp_path, GATED, {}) == []


@pytest.mark.parametrize(
    ("extra", "environment", "endpoint", "lacks"),
    [
        ({}, {}, {}, True),
        ({}, {}, {"model_id": "org/model"}, False),
        ({}, {"HF_HUB_OFFLINE": "1"}, {"model_id": "org/model"}, True),
        ({"model_args": {"tokenizer": "org/model"}}, {}, {}, False),
        ({"model_args": {"tokenizer_backend": None}}, {}, {}, False),
        ({}, {}, {"type": "chat"}, False),
    ],
)
def test_a_completions_endpoint_of_lm_eval_requires_a_tokenizer(
    tmp_path: Path,
    extra: dict[str, Any],
    environment: dict[str, str],
    endpoint: dict[str, str],
    lacks: bool,
) -> None:
    benchmark = {"task": "lm-eval.ifeval", "params": {"extra": extra}}
    given = {"type": "completions", **endpoint}
    name = endpoint.get("model_id", "m")
    expected = (
        f"benchmarks.b: lm-eval looks for a tokenizer under the model id '{name}', and finds none; "
        "set params.extra.model_args.tokenizer to a name on the hub or a path"
    )
    assert found(tmp_path, benchmark, environment, **given) == [expected] * lacks


def test_an_own_task_must_be_in_the_files_of_its_benchmark(tmp_path: Path) -> None:
    files = tmp_path / "mine"
    files.mkdir()
    own = {"harness": "lm-eval", "files": "mine", "task": "my_sums"}
    assert found(tmp_path, own, {}) == [], "no file defines a task, so another way may"
    (files / "sums.yaml").write_text("task: my_sum\ndoc_to_text: !function utils.text\n")
    (files / "group.yml").write_text("group: 'mine'  # all\n")
    assert found(tmp_path, own, {}) == [
        f"benchmarks.b: no file in {files} defines the task 'my_sums'; did you mean 'my_sum'?"
    ]
    for task in ("my_sum", "mine", "my_sum,mine", "ifeval"):
        assert found(tmp_path, own | {"params": {"task": task}}, {}) == []


def test_a_server_that_answers_for_its_tokenizer_lacks_none(tmp_path: Path) -> None:
    model = {"endpoint": {"url": "http://h/v1", "model_id": "m", "type": "completions"}}
    content = {"models": {"m": model}, "benchmarks": {"b": {"task": "lm-eval.ifeval"}}}
    evaluations = expand(config(tmp_path, content))
    assert len(lacking(evaluations, {})) == 1
    assert lacking(evaluations, {}, lambda evaluation: evaluation.model == "m") == []


def test_the_harness_decides_about_tasks_that_no_file_defines(tmp_path: Path) -> None:
    files = tmp_path / "mine"
    files.mkdir()
    (files / "sums.yaml").write_text("task: my_sum\n")
    asked = []

    def lacks(task: str, own: str | None = "mine", known: Sequence[str] = ("words_ar",)) -> str:
        def tasks_of(evaluation: Evaluation) -> Sequence[str]:
            asked.append(evaluation.identity.task)
            return known

        benchmark = {"harness": "lm-eval", "task": task, "files": own}
        content = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
        found = lacking(expand(config(tmp_path, content)), {}, tasks_of=tasks_of)
        return "\n".join(map(str, found))

    assert lacks("my_sum") == lacks("gsm8k", None) == lacks("mine/own.yaml") == ""
    assert asked == [], "these need no harness"
    assert lacks("my_sum,words_ar") == lacks("words_*", None) == ""
    line = "benchmarks.b: lm-eval has no task 'words_a'; did you mean 'words_ar'?"
    assert lacks("words_a,gsm8k", None) == line
    assert lacks("zzz") == "benchmarks.b: lm-eval has no task 'zzz'"
    assert asked == ["my_sum,words_ar", "words_*", "words_a,gsm8k", "zzz"]
    assert lacks("zzz", None, ()) == lacks("words_*", "mine", ()) == "", "nothing is known of them"


def test_a_task_that_an_image_of_the_catalogue_does_not_have(tmp_path: Path) -> None:
    wrong = {"harness": "simple_evals", "task": "mgms"}
    (line,) = found(tmp_path, wrong, {})
    image = "nvcr.io/nvidia/eval-factory/simple-evals:"
    assert line.startswith(f"benchmarks.b: simple_evals has no task 'mgms' in {image}")
    assert "; did you mean 'mgsm'" in line
    assert found(tmp_path, {"harness": "simple_evals", "task": "mgsm"}, {}) == []
    assert found(tmp_path, wrong | {"image": "own:1"}, {}) == [], "nothing is known of its tasks"


def test_a_served_completions_model_without_a_tokenizer(tmp_path: Path) -> None:
    def lacks(**more: str) -> list[str]:
        server = {"kind": "generic", "type": "completions", "runtime": "process", **more}
        models = {"m": {"deployment": server}}
        content = {"models": models, "benchmarks": {"b": {"task": "lm-eval.ifeval"}}}
        return [str(problem) for problem in lacking(expand(config(tmp_path, content)), {})]

    assert lacks(command="serve {{ port }}") == [
        "benchmarks.b: lm-eval looks for a tokenizer under the model id 'm', and finds none if its "
        "server does not answer /tokenizer_info; set params.extra.model_args.tokenizer to a name "
        "on the hub or a path"
    ]
    assert lacks(command="serve {{ port }} --enable-tokenizer-info-endpoint") == []
    assert lacks(command="serve {{ port }}", served_model_name="org/model") == []


def test_the_files_of_a_run_that_has_not_started_are_those_of_its_benchmark(
    tmp_path: Path,
) -> None:
    files = tmp_path / "mine"
    files.mkdir()
    (files / "sums.yaml").write_text("task: my_sum\n")
    benchmark = {"harness": "lm-eval", "task": "my_sum", "files": "mine"}
    content = {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, content))
    snapshot = replace(evaluation.transport, files=str(tmp_path / "run/files/digest"))
    later = [replace(evaluation, transport=snapshot)]
    snapshots = {evaluation.identity.files_digest: str(files)}
    assert lacking(later, {}, tasks_of=lambda _: ("words_ar",), snapshots=snapshots) == []
