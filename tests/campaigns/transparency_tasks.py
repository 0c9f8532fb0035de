"""The tasks of ``transparency.py``: all output types of lm-eval, on sums that need no download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from campaigns.transparency_model import chance

ITEMS, EXAMPLES = 10, 6

_MATCH = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
_ACC = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
_NORM = {**_ACC, "metric": "acc_norm"}


def _filter(name: str, pattern: str, *more: str) -> dict[str, Any]:
    names = [*more, "take_first"]
    find = {"function": "regex", "regex_pattern": pattern}
    return {"name": name, "filter": [find, *({"function": each} for each in names)]}


_NUMBER = _filter("number", r"answer is (\d+)")
_GENERATED: dict[str, dict[str, Any]] = {
    "zero_shot": {},
    "few_shots": {"num_fewshot": 3},
    "first_shots": {"num_fewshot": 2, "fewshot_config": {"sampler": "first_n"}},
    "number": {"filter_list": [_NUMBER]},
    "filters": {"filter_list": [_filter("strict", r"^ The answer is (\d+)\."), _NUMBER]},
    "stops": {"generation_kwargs": {"until": [".", "\n"]}},
    "short": {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 12}},
    "described": {"description": "Add the two numbers.\n\n", "num_fewshot": 1},
    "ignored": {"metric_list": [{**_MATCH, "ignore_case": True, "ignore_punctuation": True}]},
    "bleu": {"metric_list": [{**_MATCH, "metric": "bleu", "aggregation": "bleu"}]},
    "chrf": {"metric_list": [{**_MATCH, "metric": "chrf", "aggregation": "chrf"}]},
}
_CHOSEN: dict[str, dict[str, Any]] = {
    "choices": {},
    "choices_normed": {"metric_list": [_ACC, _NORM]},
    "choices_shots": {"num_fewshot": 2, "metric_list": [_ACC, _NORM]},
    "choices_described": {"description": "Choose.\n", "target_delimiter": ": "},
    "choices_mutual": {"metric_list": [{**_ACC, "metric": "acc_mutual_info"}]},
    "choices_letters": {"doc_to_choice": ["A", "B", "C", "D"]},
}
_LIKELY: dict[str, dict[str, Any]] = {
    "likely": {},
    "likely_shots": {"num_fewshot": 2},
    "likely_described": {"description": "Sums.\n"},
}
_ROLLING: dict[str, dict[str, Any]] = {"rolling": {}, "rolling_long": {"doc_to_target": "{{long}}"}}
SAMPLED: dict[str, dict[str, Any]] = {
    "samples_first": {"repeats": 4, "filter_list": [_NUMBER]},
    # With another prompt: requests equal to those of the first task would continue its seeds.
    "samples_majority": {
        "description": "Add.\n",
        "repeats": 4,
        "filter_list": [_filter("majority", r"answer is (\d+)", "majority_vote")],
    },
    "samples_temperature": {
        "repeats": 3,
        "filter_list": [_NUMBER],
        "generation_kwargs": {"until": ["\n"], "temperature": 1.1},
    },
}


def tasks() -> dict[str, dict[str, Any]]:
    """Return the tasks by name."""
    question = {"doc_to_text": "Question: {{left}} + {{right}}\nAnswer:"}
    generated = {**question, "output_type": "generate_until", "metric_list": [_MATCH]}
    generated |= {"doc_to_target": "{{total}}", "generation_kwargs": {"until": ["\n"]}}
    sampled = {"until": ["\n"], "do_sample": True, "temperature": 0.7}
    chosen = {**question, "output_type": "multiple_choice", "metric_list": [_ACC]}
    chosen |= {"doc_to_choice": "{{choices}}", "doc_to_target": "{{right_choice}}"}
    likely = {**question, "output_type": "loglikelihood", "metric_list": [_ACC]}
    perplexities = ("word_perplexity", "byte_perplexity", "bits_per_byte")
    rolling = {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
    }
    rolling |= {"metric_list": [{"metric": name} for name in perplexities]}
    kinds = (
        (_GENERATED, generated),
        (_CHOSEN, chosen),
        (_LIKELY, {**likely, "doc_to_target": " {{total}}"}),
        (_ROLLING, rolling),
        (SAMPLED, {**generated, "generation_kwargs": sampled}),
    )
    data = {
        "dataset_path": "json",
        "test_split": "test",
        "fewshot_split": "examples",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl", "examples": "examples.jsonl"}},
    }
    return {
        name: {"task": name, **data, **kind, **own}
        for named, kind in kinds
        for name, own in named.items()
    }


def write_tasks(place: Path) -> None:
    """Write the tasks and their items; also each task of samples with one sample."""
    for name, task in tasks().items():
        (place / f"{name}.yaml").write_text(json.dumps(task))
        if "repeats" in task:
            single = {**task, "task": f"{name}_single", "repeats": 1}
            (place / f"{name}_single.yaml").write_text(json.dumps(single))
    for split, count in (("test", ITEMS), ("examples", EXAMPLES)):
        lines = [json.dumps(item(split, number)) for number in range(count)]
        (place / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def item(split: str, number: int) -> dict[str, Any]:
    """Return a sum."""
    left, right = (10 + chance(split, number, side) % 90 for side in ("left", "right"))
    total, place = left + right, chance(split, number) % 4
    text = f"{left} and {right} are {total}. "
    return {
        "left": left,
        "right": right,
        "total": str(total),
        "choices": [str(total + other - place) for other in range(4)],
        "right_choice": place,
        "text": text,
        "long": text * 140,
    }
