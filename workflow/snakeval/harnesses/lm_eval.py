"""The adapter of lm-evaluation-harness 0.4.13.

The harness is https://github.com/EleutherAI/lm-evaluation-harness. The adapter starts its ``run``
command, and reads the ``results_<time>.json`` that its ``EvaluationTracker`` writes below
``<output_path>/<model>/``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.record import Metric
from snakeval.files import DAMAGE, json_value
from snakeval.harnesses import bounded
from snakeval.harnesses.adapter import Command, Paths, Sample
from snakeval.harnesses.lm_eval_files import results_files, sample_files
from snakeval.harnesses.lm_eval_files import unparsed as unparsed
from snakeval.harnesses.several import asks_several, seed_is_set
from snakeval.harnesses.values import (
    Unscored,
    described,
    facts,
    finder,
    keys,
    number,
    optional_count,
    refuse_long_name,
    score,
    scored,
    standard_error,
    text,
)

PARSER_VERSION = 1
SCORES = ("*results_*.json",)
#: ``LocalChatCompletion.parse_generations`` (lm_eval/models/openai_completions.py) takes an empty
#: text for whatever else it receives.
EXACT = True

#: Key of ``extra`` -> option of the command.
_OPTIONS = {
    "num_fewshot": "--num_fewshot",
    "system_instruction": "--system_instruction",
    "seed": "--seed",
}
#: Parameter of snakeval -> key of ``--gen_kwargs``.
_GENERATION = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_new_tokens": "max_gen_toks",
}
#: Tasks with several questions about one text -> the field of an item that has the text. The files
#: of lm_eval/tasks in 0.4.13 define both. DROP is an example in Miller 2024 (arXiv:2411.00640,
#: section 2.2). RACE and CoQA have one item for each text there.
_GROUPS = {
    "belebele_*": "flores_passage",
    "drop": "passage",
    "multirc": "paragraph",
    "qasper_*": "title",
    "record": "passage",
}
_MODELS = {"chat": "local-chat-completions", "completions": "local-completions"}


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return the ``lm_eval`` command line.

    ``extra`` may contain num_fewshot, system_instruction, seed, model_args (a mapping), gen_kwargs
    (a mapping), apply_chat_template and args (a list of other options).

    Raises:
        EvaluationError: the harness does not support a parameter or the type of endpoint.
    """
    identity, transport = evaluation.identity, evaluation.transport
    params, extra = identity.params, dict(identity.params.get("extra") or {})
    for key, kind in (("model_args", dict), ("gen_kwargs", dict), ("args", list)):
        if not isinstance(extra.get(key) or kind(), kind):
            word = "mapping" if kind is dict else "list"
            raise EvaluationError(f"lm-eval: extra.{key} must be a {word}, not {extra[key]!r:.60}")
    chat = identity.endpoint_type == "chat"
    model = _MODELS.get(identity.endpoint_type)
    if model is None:
        raise EvaluationError(
            f"lm-eval evaluates chat and completions endpoints, not {identity.endpoint_type}; "
            "choose another benchmark or model"
        )
    own = extra.pop("model_args", None) or {}
    model_args = _model_args(evaluation, paths) | _tokenizer(paths, own) | own
    gen_kwargs = {
        name: params[key] for key, name in _GENERATION.items() if params.get(key) is not None
    } | (extra.pop("gen_kwargs", None) or {})
    if not paths.gateway and asks_several(evaluation) and not seed_is_set(evaluation):
        gen_kwargs.setdefault("seed", None)  # else the harness sends 1234 with each request
    argv = [
        "lm_eval", "run",
        "--model", model,
        # JSON, since a comma or an equals sign in a value would break the key=value form.
        "--model_args", json.dumps(model_args),
        "--tasks", str(params.get("task") or identity.task),
        "--output_path", paths.results,
        "--log_samples",
    ]  # fmt: skip
    if extra.pop("apply_chat_template", chat):
        argv.append("--apply_chat_template")
    if evaluation.transport.files:
        argv += ["--include_path", "."]
    if params.get("limit_samples") is not None:
        argv += ["--limit", str(params["limit_samples"])]
    if gen_kwargs:
        argv += ["--gen_kwargs", json.dumps(gen_kwargs)]
    for key, option in _OPTIONS.items():
        if extra.get(key) is not None:
            argv += [option, str(extra[key])]
        extra.pop(key, None)
    argv += [str(argument) for argument in extra.pop("args", None) or ()]
    if extra:
        raise EvaluationError(
            f"lm-eval has no parameter extra.{next(iter(extra))}; write other options to the "
            "list extra.args"
        )
    secrets = {"OPENAI_API_KEY": transport.api_key_name} if transport.api_key_name else {}
    # Unbuffered output fills the log while the harness runs.
    return Command(tuple(argv), env={"PYTHONUNBUFFERED": "1"}, secrets=secrets)


def _model_args(evaluation: Evaluation, paths: Paths) -> dict[str, Any]:
    """Return ``--model_args``: the endpoint, and how the harness sends requests to it."""
    identity, transport = evaluation.identity, evaluation.transport
    refuse_long_name(identity.model_id)
    arguments: dict[str, Any] = {
        "model": identity.model_id,
        "base_url": paths.endpoint_url,
        "num_concurrent": transport.parallelism,
        "max_retries": max(1, transport.max_retries),
        "timeout": transport.request_timeout,
    }
    if identity.params.get("seed") is not None:
        # The seed of each request; extra.seed is the seed of few-shot examples.
        arguments["seed"] = identity.params["seed"]
    if identity.endpoint_type == "chat":
        arguments |= {"tokenizer_backend": None, "tokenized_requests": False}
    return arguments


def _tokenizer(paths: Paths, own: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments for the model's tokenizer, unless those of the user choose one.

    Without a tokenizer here, the harness asks the server for one, and then the hub.
    """
    if not paths.tokenizer or {"tokenizer", "tokenizer_backend"} & own.keys():
        return {}
    found = {"tokenizer": paths.tokenizer, "tokenizer_backend": "huggingface"}
    return found | ({"revision": paths.tokenizer_revision} if paths.tokenizer_revision else {})


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric | Unscored, ...]:
    """Read the newest ``results_*.json``."""
    files = results_files(artifacts)
    if not files:
        raise EvaluationError("the harness ended without writing results; see its log")
    try:
        data = keys(json_value(bounded.whole(files[-1]), unique=True), "it")
        better, samples = data.get("higher_is_better"), data.get("n-samples")
        return tuple(
            metric
            for task, scores in keys(data["results"], "`results`").items()
            for metric in _task(
                task, keys(scores, f"`results.{task}`"), facts(better, task), facts(samples, task)
            )
        )
    except (ValueError, KeyError) as error:
        raise EvaluationError(
            f"{files[-1].name} is not a results file: {described(error)}; see the harness's log"
        ) from None


def samples(evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
    """Yield samples of ``samples_<task>_<time>.jsonl``, which ``--log_samples`` writes."""
    for task, path in sample_files(artifacts):
        group = _group_finder(evaluation, task)
        for position, line in enumerate(bounded.lines(path), 1):
            try:
                data = json_value(line)
                yield _sample(task, data, _name(group(data.get("doc"))) if group else "")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise EvaluationError(
                    f"{path.name}, line {position} is not a sample: {described(error)}"
                ) from None


def _group_finder(evaluation: Evaluation, task: str) -> Callable[[Any], Any] | None:
    """Return the function that finds an item's group, by the configuration or by the known task.

    The tasks of a group of tasks, such as the subjects of MMLU, are not such groups. They are not a
    random sample of subjects, and another set of questions would have the same subjects.
    """
    known = (field for name, field in _GROUPS.items() if fnmatch.fnmatchcase(task, name))
    path = evaluation.transport.samples.get("group") or next(known, None)
    return finder(path) if path else None


def _name(group: object) -> str:
    """Return a short name of a group, which may be a whole text."""
    found = text(group)
    return found if len(found) <= 60 else hashlib.sha256(found.encode()).hexdigest()[:16]


def _sample(task: str, data: Mapping[str, Any], group: str) -> Sample:
    filtered = data.get("filtered_resps")
    answers = filtered if filtered is not None else data.get("resps")
    # The number alone is ambiguous between two versions of the data.
    content = str(data.get("doc_hash") or "")[:12]
    return Sample(
        text(f"{data['doc_id']}:{content}" if content else str(data["doc_id"])),
        task,
        {name: found for name in data["metrics"] if (found := score(data.get(name))) is not None},
        filter="" if (name := str(data.get("filter") or "none")) == "none" else name,
        question=_question(data),
        answer=text(answers[0] if isinstance(answers, list) and len(answers) == 1 else answers),
        reference=text(data.get("target")),
        group=group,
    )


def _question(data: Mapping[str, Any]) -> str:
    """Return the prompt that the model received, or the item if there is no prompt.

    ``arguments`` has the arguments of each request, and a chat as JSON.
    """
    arguments = data.get("arguments")
    first = next(iter(arguments.values()), None) if isinstance(arguments, dict) else arguments
    prompt = first.get("arg_0") if isinstance(first, dict) else first
    while isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        return text(data.get("doc"))
    if prompt.startswith("[{"):
        try:
            messages = json_value(prompt)
            return "\n\n".join(
                text(m["content"])
                if len(messages) == 1
                else f"{text(m['role'])}: {text(m['content'])}"
                for m in messages
            )
        except DAMAGE:
            pass  # a question that only starts like a chat
    return prompt


def _task(
    task: str, scores: Mapping[str, Any], better: Mapping[str, Any], samples: Mapping[str, Any]
) -> list[Metric | Unscored]:
    """Return the metrics of a task.

    The keys of *scores* are ``<metric>,<filter>`` and ``<metric>_stderr,<filter>``. Other keys
    describe the task.
    """
    found = []
    for key, value in scores.items():
        name, filter_name = _split(key, scores, better)
        if not filter_name or name.endswith("_stderr") or value == " ":
            continue
        found.append(
            scored(
                task,
                name,
                filter_name if filter_name != "none" else "",
                partial(number, value, f"{task}: {key}"),
                stderr=standard_error(scores.get(f"{name}_stderr,{filter_name}")),
                n=optional_count(samples.get("effective")),
                higher_is_better=up if isinstance(up := better.get(name), bool) else None,
            )
        )
    return found


def _split(key: str, scores: Mapping[str, Any], better: Mapping[str, Any]) -> tuple[str, str]:
    """Split a key at the comma between metric and filter: each of them may contain commas.

    A metric is known by its direction or its standard error, and otherwise the last comma counts.
    """
    places = [place for place, char in enumerate(key) if char == ","]
    for place in reversed(places):
        name, rest = key[:place], key[place + 1 :]
        if name in better or f"{name}_stderr,{rest}" in scores:
            return name, rest
    if not places:
        return key, ""
    name, _, rest = key.rpartition(",")
    return name, rest
