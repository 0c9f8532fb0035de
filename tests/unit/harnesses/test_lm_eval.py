"""Tests the adapter of lm-evaluation-harness."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import lm_eval
from snakeval.harnesses.adapter import Paths, Sample
from snakeval.harnesses.reading import read_metrics
from snakeval.matrix.expand import expand
from support.configs import config

PATHS = Paths("/results", "/inputs", "http://host/v1/chat/completions")

#: As `lm_eval run` 0.4.13 writes it, shortened.
RESULTS = {
    "results": {
        "my_task": {
            "name": "my_task",
            "alias": "my_task",
            "sample_len": 40,
            "exact_match,first-number": 0.675,
            "exact_match_stderr,first-number": 0.075,
            "bleu,none": 12,
            "bleu_stderr,none": "N/A",
        },
        "group": {"alias": "group", " ": " "},
    },
    "higher_is_better": {"my_task": {"exact_match": True, "bleu": True}},
    "n-samples": {"my_task": {"original": 40, "effective": 40}},
}


def evaluation(tmp_path: Path, endpoint: dict[str, Any], **benchmark: Any) -> Evaluation:
    model = {"endpoint": {"url": "http://host/v1", "model_id": "m"} | endpoint}
    rows = {"b": {"harness": "lm-eval", "task": "my_task"} | benchmark}
    return expand(config(tmp_path, {"models": {"m": model}, "benchmarks": rows}))[0]


def options(argv: tuple[str, ...]) -> dict[str, str]:
    return dict(itertools.pairwise(argv))


@pytest.mark.parametrize(
    ("own", "revision", "expected"),
    [
        ({}, "", {"tokenizer": "o/m", "tokenizer_backend": "huggingface"}),
        ({}, "c0", {"tokenizer": "o/m", "tokenizer_backend": "huggingface", "revision": "c0"}),
        ({"tokenizer": "mine"}, "c0", {"tokenizer": "mine"}),
        ({"tokenizer_backend": "remote"}, "c0", {"tokenizer_backend": "remote"}),
        ({"add_bos_token": True}, "", {"tokenizer": "o/m", "tokenizer_backend": "huggingface"}),
    ],
)
def test_the_harness_gets_the_tokenizer_unless_the_user_chooses_one(
    tmp_path: Path, own: dict[str, Any], revision: str, expected: dict[str, str]
) -> None:
    made = evaluation(tmp_path, {"type": "completions"}, params={"extra": {"model_args": own}})
    paths = replace(PATHS, tokenizer="o/m", tokenizer_revision=revision)
    arguments = json.loads(options(lm_eval.command(made, paths).argv)["--model_args"])
    keys = ("tokenizer", "tokenizer_backend", "revision")
    assert {key: arguments[key] for key in keys if key in arguments} == expected


def test_parameters_become_options_and_no_character_breaks_the_command_line(
    tmp_path: Path,
) -> None:
    nasty = """a,b=c "d" 'e' $(f)"""
    made = evaluation(
        tmp_path,
        {"model_id": nasty, "api_key_name": "KEY"},
        params={
            "limit_samples": 5, "temperature": 0.0, "top_p": 0.5, "max_new_tokens": 7,
            "parallelism": 3, "request_timeout": 11, "max_retries": 2,
            "extra": {"num_fewshot": 2, "gen_kwargs": {"until": ["a,b"]}, "args": ["--seed", 1]},
        },
    )  # fmt: skip
    command = lm_eval.command(made, PATHS)
    given = options(command.argv)
    arguments = json.loads(given["--model_args"])
    assert (arguments["model"], arguments["base_url"]) == (nasty, PATHS.endpoint_url)
    assert (arguments["num_concurrent"], arguments["timeout"]) == (3, 11)
    assert json.loads(given["--gen_kwargs"]) == {
        "temperature": 0.0, "top_p": 0.5, "max_gen_toks": 7, "until": ["a,b"],
    }  # fmt: skip
    assert (given["--limit"], given["--num_fewshot"], given["--seed"]) == ("5", "2", "1")
    assert command.secrets == {"OPENAI_API_KEY": "KEY"}


def test_only_a_chat_endpoint_gets_the_chat_template(
    tmp_path: Path,
) -> None:
    chat = lm_eval.command(evaluation(tmp_path, {}), PATHS).argv
    base = lm_eval.command(evaluation(tmp_path, {"type": "completions"}), PATHS).argv
    assert options(chat)["--model"] == "local-chat-completions"
    assert "--apply_chat_template" in chat
    assert options(base)["--model"] == "local-completions"
    assert "--apply_chat_template" not in base


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"num_fewshots": 5}, "lm-eval has no parameter extra.num_fewshots; write other options"),
        ({"args": "--seed 1"}, "lm-eval: extra.args must be a list, not '--seed 1'"),
        ({"gen_kwargs": "seed=1"}, "lm-eval: extra.gen_kwargs must be a mapping, not 'seed=1'"),
        ({"model_args": ["a=1"]}, "lm-eval: extra.model_args must be a mapping, not ['a=1']"),
    ],
)
def test_an_unsupported_parameter_is_an_error_before_the_run(
    tmp_path: Path, extra: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluation(tmp_path, {}, params={"extra": extra})
    assert str(refused.value).startswith(f"benchmarks.b: {sentence}")


def test_the_parameters_of_one_model_are_also_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no parameter extra\.shots"):
        evaluation(tmp_path, {}, per_model={"m": {"extra": {"shots": 5}}})


def test_an_unsupported_type_of_endpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chat and completions endpoints, not embedding"):
        evaluation(tmp_path, {"type": "embedding"}, endpoint_types=["embedding"])


def write(artifacts: Path, name: str, text: str) -> None:
    (artifacts / "m").mkdir(parents=True, exist_ok=True)
    (artifacts / "m" / name).write_text(text)


def test_metrics_have_filter_error_and_count(tmp_path: Path) -> None:
    made = evaluation(tmp_path, {})
    write(tmp_path / "a", "results_2026-11-24T10-00-00.000001.json", json.dumps(RESULTS))
    exact, bleu = read_metrics(made, tmp_path / "a")
    assert (exact.task, exact.metric, exact.filter) == ("my_task", "exact_match", "first-number")
    assert (exact.value, exact.stderr, exact.n, exact.higher_is_better) == (0.675, 0.075, 40, True)
    assert (bleu.metric, bleu.filter, bleu.value, bleu.stderr) == ("bleu", "", 12.0, None)


def test_the_newest_results_count(tmp_path: Path) -> None:
    made = evaluation(tmp_path, {})
    old = json.loads(json.dumps(RESULTS))
    old["results"]["my_task"]["bleu,none"] = 1
    write(tmp_path / "a", "results_2026-11-24T10-00-00.000001.json", json.dumps(old))
    write(tmp_path / "a", "results_2026-11-24T10-00-01.000001.json", json.dumps(RESULTS))
    assert read_metrics(made, tmp_path / "a")[1].value == 12.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "the harness ended without writing results"),
        ("{", "results_1.json is not a results file: Expecting property name"),
        ("[]", "results_1.json is not a results file: it is a list and has no keys; see"),
        ('{"config": 1}', "is not a results file: it has no key results; see the harness's log"),
        ('{"results": "none"}', "is not a results file: `results` is a text and has no keys"),
        ('{"results": {"t": [1]}}', "is not a results file: `results.t` is a list"),
        ('{"results": {}}', "without a single metric"),
        ('{"results": {"t": {"acc,none": NaN}}}', "t: acc,none is nan; the harness could not"),
        ("[" * 100_000, "nested too deeply"),
        ('{"results": {"t": {"acc,none": "high"}}}', "t: acc,none is 'high', not a number"),
    ],
)
def test_invalid_results_are_an_error_with_a_reason(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    made = evaluation(tmp_path, {})
    if text is not None:
        write(tmp_path / "a", "results_1.json", text)
    with pytest.raises(EvaluationError) as refused:
        read_metrics(made, tmp_path / "a")
    assert reason in str(refused.value)


@pytest.mark.parametrize("odd", [5, "many", [1], {"my_task": 5}, {"my_task": {"effective": "40"}}])
def test_a_score_is_sound_without_what_is_known_about_it(tmp_path: Path, odd: object) -> None:
    made = evaluation(tmp_path, {})
    results = {**RESULTS, "n-samples": odd, "higher_is_better": odd}
    write(tmp_path / "a", "results_1.json", "\ufeff" + json.dumps(results))  # as on Windows
    exact = read_metrics(made, tmp_path / "a")[0]
    assert (exact.value, exact.n, exact.higher_is_better) == (0.675, None, None)


#: As `--log_samples` of lm_eval 0.4.13 writes it, shortened.
SAMPLE = {
    "doc_id": 3,
    "doc": {"question": "2 + 2?"},
    "target": "4",
    "arguments": {"gen_args_0": {"arg_0": ['[{"role": "user", "content": "2 + 2?"}]']}},
    "resps": [["It is 4"]],
    "filtered_resps": ["4"],
    "filter": "first-number",
    "metrics": ["exact_match", "parts", "unscored"],
    "doc_hash": "7464ac243a023ae6",
    "exact_match": 1.0,
    "parts": [True, False],
    "unscored": float("nan"),
}


def logged(
    tmp_path: Path,
    *samples: Any,
    time: str = "2026-01-01",
    task: str = "my_task",
    **benchmark: Any,
) -> list[Sample]:
    place = tmp_path / "artifacts/model"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"results_{time}.json").write_text("{}")
    lines = "".join(f"{json.dumps(sample)}\n" for sample in samples)
    (place / f"samples_{task}_{time}.jsonl").write_text(lines)
    made = evaluation(tmp_path, {}, **benchmark)
    return list(lm_eval.samples(made, tmp_path / "artifacts"))


def test_samples_have_question_answer_reference_and_scores(tmp_path: Path) -> None:
    (found,) = logged(tmp_path, SAMPLE)
    assert (found.id, found.task, found.filter) == ("3:7464ac243a02", "my_task", "first-number")
    assert (found.question, found.answer, found.reference) == ("2 + 2?", "4", "4")
    assert found.scores["exact_match"] == 1
    assert math.isnan(found.scores["unscored"])
    assert "parts" not in found.scores  # no number


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ({"gen_args_0": {"arg_0": "2 + 2 ="}}, "2 + 2 ="),
        ([["2 + 2 =", " 4"]], "2 + 2 ="),
        ({"gen_args_0": {"arg_0": ["[{ is no chat"]}}, "[{ is no chat"),
        (None, '{"question": "2 + 2?"}'),
        (
            {"a": {"arg_0": json.dumps([{"role": r, "content": r} for r in ("system", "user")])}},
            "system: system\n\nuser: user",
        ),
    ],
)
def test_the_question_is_the_prompt_or_the_item(
    tmp_path: Path, arguments: Any, question: str
) -> None:
    (found,) = logged(tmp_path, SAMPLE | {"arguments": arguments})
    assert found.question == question


def test_questions_about_one_text_are_a_group_in_known_tasks(tmp_path: Path) -> None:
    items = [SAMPLE | {"doc": {"passage": text}} for text in ("One. " * 20, "One. " * 20, "Two.")]
    one, same, other = (sample.group for sample in logged(tmp_path, *items, task="drop"))
    assert one == same
    assert len(one) == 16  # not the text itself
    assert other == "Two."
    assert {sample.group for sample in logged(tmp_path / "unknown", *items)} == {""}


def test_a_configuration_sets_the_value_that_items_of_a_group_share(tmp_path: Path) -> None:
    items = [SAMPLE | {"doc": {"source": {"page": page}}} for page in (7, 7, 8)]
    found = logged(tmp_path, *items, samples={"group": "source.page"})
    assert [sample.group for sample in found] == ["7", "7", "8"]


def test_samples_belong_to_the_newest_results(tmp_path: Path) -> None:
    logged(tmp_path, SAMPLE, SAMPLE, time="2026-01-01")
    assert len(logged(tmp_path, SAMPLE, time="2026-01-02")) == 1


def test_without_results_there_are_no_samples(tmp_path: Path) -> None:
    assert list(lm_eval.samples(evaluation(tmp_path, {}), tmp_path)) == []


def test_the_error_of_an_invalid_sample_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"samples_my_task_2026-01-01\.jsonl, line 2 is not a"
    ):
        logged(tmp_path, SAMPLE, [1])


def test_each_request_has_the_seed(tmp_path: Path) -> None:
    made = evaluation(tmp_path, {}, params={"seed": 5})
    given = json.loads(options(lm_eval.command(made, PATHS).argv)["--model_args"])
    assert given["seed"] == 5
