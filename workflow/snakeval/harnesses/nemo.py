"""The adapter of NVIDIA's eval-factory images, whose harnesses share one command line.

The command ``nemo-evaluator run_eval --run_config FILE`` writes ``results.yml``
(https://docs.nvidia.com/nemo/evaluator/latest/, nemo-evaluator 0.2.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import TRANSPORT_PARAMS, Evaluation
from snakeval.evaluation.record import Metric
from snakeval.evaluation.trees import is_artifact
from snakeval.files import TwiceError, yaml_value
from snakeval.harnesses import bounded, lm_eval
from snakeval.harnesses.adapter import Command, Paths, Sample
from snakeval.harnesses.several import asks_several, seed_is_set
from snakeval.harnesses.values import (
    Unscored,
    described,
    facts,
    keys,
    number,
    optional_count,
    refuse_long_name,
    scored,
    standard_error,
)

PARSER_VERSION = 1
SCORES = ("results.yml", "eval_factory_metrics.json", "run_config.yml")

_API_KEY = "SNAKEVAL_API_KEY"
#: The harness that asks for a model's tokenizer, and its parameters that choose one.
_LM_EVAL, _TOKENIZER = "lm-evaluation-harness", {"tokenizer", "tokenizer_backend"}
#: Interceptors that keep files -> snakeval's default directory. Their own default is /tmp.
_KEEP = {
    "caching": "cache",
    "response_stats": "response_stats_cache",
    "reasoning": "reasoning_stats_cache",
}
#: The interceptor that removes the seed from requests.
_NO_SEED = {"name": "payload_modifier", "config": {"params_to_remove": ["seed"]}}
#: Keys of the adapter's configuration, and of an interceptor's, that name a directory.
_DIRECTORIES = ("caching_dir", "cache_dir", "output_dir")


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return the command line; all parameters are in the run configuration file.

    The command does not use ``--overrides``, since a value could break its commas and quotes.
    ``extra.adapter_config`` is not a parameter there. It configures the adapter between harness and
    model: https://docs.nvidia.com/nemo/evaluator/latest/about/concepts/adapters.html
    """
    identity, transport = evaluation.identity, evaluation.transport
    if identity.harness == _LM_EVAL:
        refuse_long_name(identity.model_id)
    params = {k: v for k, v in identity.params.items() if v is not None}
    extra = dict(params.get("extra") or {})
    varies = bool(paths.gateway) or seed_is_set(evaluation)
    shares_a_seed = not varies and asks_several(evaluation)
    adapter = _adapter_config(extra.pop("adapter_config", None), paths.results, shares_a_seed)
    if "seed" in params:
        # The contract has no seed, but a harness may support it.
        extra.setdefault("seed", params.pop("seed"))
    if identity.harness == _LM_EVAL and paths.tokenizer and not _TOKENIZER & extra.keys():
        extra |= {"tokenizer": paths.tokenizer, "tokenizer_backend": "huggingface"}
    if "extra" in params or extra:
        params["extra"] = extra
    params |= {key: getattr(transport, key) for key in sorted(TRANSPORT_PARAMS)}
    endpoint: dict[str, Any] = {
        "url": paths.endpoint_url,
        "model_id": identity.model_id,
        "type": identity.endpoint_type,
        "adapter_config": adapter,
    }
    if transport.api_key_name:
        endpoint["api_key_name"] = _API_KEY
    run_config = {
        "config": {
            "type": f"{identity.harness}.{identity.task}",
            "output_dir": paths.results,
            "params": params,
        },
        "target": {"api_endpoint": endpoint},
    }
    secrets = {_API_KEY: transport.api_key_name} if transport.api_key_name else {}
    return Command(
        ("nemo-evaluator", "run_eval", "--run_config", f"{paths.inputs}/run_config.yml"),
        env={"PYTHONUNBUFFERED": "1", "NEMO_EVALUATOR_TELEMETRY_LEVEL": "0"},
        secrets=secrets,
        inputs={"run_config.yml": yaml.safe_dump(run_config, sort_keys=True)},
        # Two harnesses that start together find the same free port, and one of them then asks the
        # proxy of the other: its answers are those of the other's model.
        ports=("ADAPTER_PORT",),
    )


def _adapter_config(given: Any, results: str, shares_a_seed: bool = False) -> dict[str, Any]:
    """Return the adapter's configuration, with every relative directory below *results*.

    The adapter caches answers by default and gives equal requests one answer. A task that requests
    an item K times then gets fewer than K answers. The cache is therefore off unless the user sets
    ``use_caching``. A list of ``interceptors`` replaces the default configuration,
    and the adapter rejects ``use_caching`` beside it (adapter_config.py of nemo-evaluator 0.2.8).

    If several answers to a question would share a seed, the adapter removes the seed from requests.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise EvaluationError(f"extra.adapter_config must hold keys and values, not {given!r:.60}")
    config = _below(results, {key: value for key, value in given.items() if value is not None})
    interceptors = config.get("interceptors")
    if isinstance(interceptors, list):
        config["interceptors"] = [_interceptor(entry, results) for entry in interceptors]
        if shares_a_seed:
            config["interceptors"].insert(0, _NO_SEED)
    if interceptors:
        return config
    if shares_a_seed:
        config["params_to_remove"] = [*(config.get("params_to_remove") or ()), "seed"]
    return {"use_caching": False, **config}


def _interceptor(entry: Any, results: str) -> Any:
    """Return one of ``interceptors``, which may be a bare name."""
    if isinstance(entry, str):
        entry = {"name": entry}
    config = (entry.get("config") or {}) if isinstance(entry, Mapping) else None
    if not isinstance(config, Mapping):
        return entry  # the harness reports the error
    keeps = _KEEP.get(str(entry.get("name")))
    return {**entry, "config": _below(results, {"cache_dir": keeps, **config} if keeps else config)}


def _below(results: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return *config* with its relative directories below *results*."""
    return {
        key: str(PurePosixPath(results, value))
        if key in _DIRECTORIES and isinstance(value, str)
        else value
        for key, value in config.items()
    }


def metrics(evaluation: Evaluation, artifacts: Path) -> tuple[Metric | Unscored, ...]:
    """Read the metrics of tasks and groups in ``results.yml``."""
    path = artifacts / "results.yml"
    try:
        if path.is_symlink() and not is_artifact(path, artifacts):
            raise FileNotFoundError
        data = yaml_value(bounded.whole(path), unique=True)
    except FileNotFoundError:
        raise EvaluationError("the harness wrote no results.yml; see its log") from None
    except TwiceError as error:
        raise EvaluationError(
            f"results.yml is not a results file: {error}; see the harness's log"
        ) from None
    except ValueError as error:
        raise EvaluationError(f"results.yml does not parse: {str(error)[:200]}") from None
    try:
        results = keys(keys(data, "it")["results"], "`results`")
        return (
            *_sections(results.get("tasks"), "`results.tasks`"),
            *_sections(results.get("groups"), "`results.groups`"),
        )
    except (ValueError, KeyError) as error:
        raise EvaluationError(
            f"results.yml is not a results file: {described(error)}; see the harness's log"
        ) from None


def _sections(sections: Any, what: str) -> Iterator[Metric | Unscored]:
    """Yield the metrics of tasks or groups.

    Raises:
        ValueError: a part holds no keys; the message calls *sections* *what*.
    """
    for name, value in keys(sections, what).items():
        section = keys(value, f"`{name}`")
        for metric, result in keys(section.get("metrics"), f"`{name}.metrics`").items():
            scores = keys(result, f"`{name}.metrics.{metric}`").get("scores")
            for score, part in keys(scores, f"`{name}.metrics.{metric}.scores`").items():
                entry = keys(part, f"`{name}.metrics.{metric}.scores.{score}`")
                stats = facts(entry, "stats")
                yield scored(
                    str(name),
                    str(metric),
                    str(score) if score != metric else "",
                    partial(number, entry.get("value"), f"{name}: {metric}.{score}"),
                    stderr=standard_error(stats.get("stderr")),
                    n=optional_count(stats.get("count")),
                )
        # A group contains its members' groups; the tasks of a group are in their own list.
        yield from _sections(section.get("groups"), f"`{name}.groups`")


#: NVIDIA's build of lm-evaluation-harness logs samples like the original one.
unparsed = lm_eval.unparsed


def samples(evaluation: Evaluation, artifacts: Path) -> Iterator[Sample]:
    """Yield the samples of lm-evaluation-harness, the only harness known to log them.

    The contract does not define samples. NVIDIA's build of that harness logs them like the original
    one, but names a metric with a filter ``<metric>__<filter>`` in its results.
    """
    for sample in lm_eval.samples(evaluation, artifacts):
        if sample.filter:
            scores = {f"{name}__{sample.filter}": value for name, value in sample.scores.items()}
            yield replace(sample, scores=scores, filter="")
        else:
            yield sample
