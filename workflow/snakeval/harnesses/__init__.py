"""Harness adapters, which build the command line of a harness and read its results.

An adapter is a module, or an object, with the names of :class:`snakeval.harnesses.adapter.Adapter`.
A package adds one with the entry-point group ``snakeval.harnesses``. Raise its ``PARSER_VERSION``
when it reads results better: tables are then rebuilt from the raw results, and no evaluation
reruns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from snakeval import plugins
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory as EvaluationDirectory
from snakeval.evaluation.record import Metric as Metric
from snakeval.harnesses.adapter import Adapter, Command, Paths

#: The harnesses that log items of data sets, by their names in the catalogue.
LOGS_ITEMS = ("lm-eval", "lm-evaluation-harness")
#: Patterns of artifacts that are no results. Harnesses of earlier versions resumed from them, and
#: the adapter of eval-factory harnesses may keep some.
_CACHES = {
    "generic": ("cache/*",),
    "lm-eval": ("cache/*",),
    "nemo": ("*cache/*", "lm_cache_rank*", "*/lm_cache_rank*"),
}
#: The time-out of a harness whose gateway ends late requests, in seconds.
_PATIENCE = 86400
#: The built-in adapters.
ADAPTERS = plugins.BUILT_IN[plugins.HARNESSES]


def adapter(name: str) -> Adapter:
    """Return the adapter *name*.

    Raises:
        EvaluationError: no adapter has that name; its package may be missing on this machine.
    """
    try:
        return cast(Adapter, plugins.load(plugins.HARNESSES, name))
    except ConfigError as error:
        raise EvaluationError(str(error)) from None


def caches_of(name: str) -> tuple[str, ...]:
    """Return the patterns of artifacts that are no results of the adapter *name*.

    An adapter of another package may name its own as ``CACHES``.

    Raises:
        EvaluationError: no adapter has that name.
    """
    return _CACHES.get(name) or tuple(getattr(adapter(name), "CACHES", ()))


def command(evaluation: Evaluation, paths: Paths) -> Command:
    """Return the command line of *evaluation*, which can query its auxiliary models.

    An auxiliary model ``judge`` is ``{{ auxiliary.judge.url }}`` (also base_url, model_id, type and
    api_key_name) in every text of ``params.extra``. In the environment it is ``JUDGE_URL``,
    ``JUDGE_MODEL_ID`` and ``JUDGE_API_KEY``.

    Raises:
        EvaluationError: the harness does not support the evaluation.
    """
    identity = evaluation.identity
    if identity.adapter != "nemo" and "adapter_config" in (identity.params.get("extra") or {}):
        raise EvaluationError(
            f"params.extra.adapter_config requires an eval-factory harness, and {identity.harness} "
            "is not one; remove it"
        )
    known = auxiliary_values(evaluation, paths)
    if known and identity.params.get("extra"):
        extra = _filled(identity.params["extra"], {"auxiliary": known})
        params = {**identity.params, "extra": extra}
        evaluation = replace(evaluation, identity=replace(identity, params=params))
    if paths.gateway:
        # A harness that hangs up or retries beside the gateway only asks for the same again.
        evaluation = replace(
            evaluation,
            transport=replace(
                evaluation.transport,
                parallelism=paths.gateway,
                request_timeout=_PATIENCE,
                max_retries=0,
            ),
        )
    made = adapter(identity.adapter).command(evaluation, paths)
    env, secrets = dict(made.env), dict(made.secrets)
    for name, values in known.items():
        prefix = _variable(name)
        env |= {f"{prefix}_URL": values["url"], f"{prefix}_MODEL_ID": values["model_id"]}
        if values["api_key_name"]:
            secrets[values["api_key_name"]] = evaluation.transport.auxiliary_keys[name]
    return replace(made, env=env, secrets=secrets)


def auxiliary_values(evaluation: Evaluation, paths: Paths) -> dict[str, dict[str, str]]:
    """Return the values of each auxiliary model for templates."""
    return {
        name: {
            "url": paths.auxiliary[name],
            "base_url": base_url(paths.auxiliary[name]),
            "model_id": model["model_id"],
            "type": model["endpoint_type"],
            "api_key_name": f"{_variable(name)}_API_KEY"
            if name in evaluation.transport.auxiliary_keys
            else "",
        }
        for name, model in evaluation.identity.auxiliary.items()
    }


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        from snakeval.shell import fill  # imports jinja2, which few evaluations use

        return fill(value, known, "a text of params.extra")
    if isinstance(value, Mapping):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return value


def base_url(url: str) -> str:
    """Return *url* without its route, as the ``base_url`` of OpenAI clients."""
    for route in ("/chat/completions", "/completions", "/embeddings"):
        if url.endswith(route):
            return url.removesuffix(route)
    return url


def parser_versions(used: Iterable[str] = ()) -> dict[str, int]:
    """Return the parser version of each built-in adapter and of each adapter in *used*."""
    return {name: adapter(name).PARSER_VERSION for name in dict.fromkeys([*ADAPTERS, *used])}
