"""Reads the parameters, the variables and the adapter of the launcher's tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakeval import catalogue
from snakeval.config.benchmarks import Params
from snakeval.config.nemo_launcher.draft import Draft, Variables, merge, nested, says
from snakeval.config.source import Key

_CONFIGS = ("nemo_evaluator_config", "overrides")
#: Keys of ``nemo_evaluator_config`` that some files have beside it.
MISPLACED = ("config", "target")
_ADAPTER = ("target", "api_endpoint", "adapter_config")

#: Configurations of the adapter between harness and model, each with its key. Later ones override
#: earlier ones.
Adapters = list[tuple[Key, dict[str, Any]]]


def configs(draft: Draft, section: Mapping[str, Any], key: Key) -> list[tuple[Key, dict[str, Any]]]:
    """Return ``nemo_evaluator_config`` and ``overrides`` with dotted keys expanded."""
    found = []
    for name in _CONFIGS:
        said = (*key, name)
        config = nested(draft.mapping(section.get(name), said))
        if says(config):
            draft.only(said, config, {"config", "target", "env_vars"})
            found.append((said, config))
    return found + _misplaced(draft, section, key)


def _misplaced(
    draft: Draft, section: Mapping[str, Any], key: Key
) -> list[tuple[Key, dict[str, Any]]]:
    """Return the parts of ``nemo_evaluator_config`` that are beside it."""
    found: list[tuple[Key, dict[str, Any]]] = []
    for name in MISPLACED:
        value = nested(draft.mapping(section.get(name), (*key, name)))
        if not says(value):
            continue
        draft.note((*key, name), "is read as a part of nemo_evaluator_config, its place")
        if value.keys() & set(MISPLACED):  # the whole, by an older name
            draft.only((*key, name), value, {*MISPLACED, "env_vars"})
            found.append(((*key, name), value))
        else:
            found.append((key, {name: value}))
    return found


def params(draft: Draft, config: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return ``config.params`` of a task or of all tasks."""
    key = (*key, "config")
    inner = draft.mapping(config.get("config"), key)
    inner.pop("target", None)  # see _endpoint
    draft.only(key, inner, {"params", "extra"})
    found = draft.mapping(inner.get("params"), (*key, "params"))
    if says(extra := draft.mapping(inner.get("extra"), (*key, "extra"))):
        draft.note((*key, "extra"), "is read as config.params.extra, where the harness reads it")
        merge(found, {"extra": extra})
    if says(tokens := found.pop("max_tokens", None)):
        draft.note((*key, "params", "max_tokens"), "is read as max_new_tokens, the harness's name")
        found.setdefault("max_new_tokens", tokens)
    draft.only((*key, "params"), found, set(Params.model_fields))
    return found


def variables(draft: Draft, section: Mapping[str, Any], key: Key) -> Variables:
    """Return the ``env_vars`` of a task or of all tasks."""
    found = Variables()
    for said, config in configs(draft, section, key):
        if says(inside := draft.mapping(config.get("env_vars"), (*said, "env_vars"))):
            draft.note((*said, "env_vars"), f"is read as {'.'.join(key)}.env_vars, its place")
            found.update(draft.variables(inside, (*said, "env_vars")))
    key = (*key, "env_vars")
    found.update(draft.variables(draft.mapping(section.get("env_vars"), key), key))
    return found


def adapters(draft: Draft, config: Mapping[str, Any], key: Key) -> Adapters:
    """Return the adapter's configurations of a task or of all tasks."""
    inner = draft.mapping(config.get("config"), (*key, "config"))
    found: Adapters = []
    if says(inner.get("target")):
        draft.note((*key, "config", "target"), f"is read as {'.'.join(key)}.target, its place")
        found += adapter(draft, _endpoint(draft, inner, (*key, "config")), (*key, "config"))
    return found + adapter(draft, _endpoint(draft, config, key), key)


def _endpoint(draft: Draft, config: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return ``target.api_endpoint`` of a task, which may only configure the adapter."""
    key = (*key, "target")
    target = draft.mapping(config.get("target"), key)
    draft.only(key, target, {"api_endpoint"})
    endpoint = draft.mapping(target.get("api_endpoint"), (*key, "api_endpoint"))
    for name in endpoint:
        if name != "adapter_config":
            place = (*key, "api_endpoint", name)
            draft.refuse(
                place, "cannot differ by task; set it in the top-level target.api_endpoint"
            )
    return endpoint


def adapter(draft: Draft, endpoint: Mapping[str, Any], key: Key) -> Adapters:
    """Return the adapter's configuration of an ``api_endpoint`` below *key*, if it has one."""
    key = (*key, *_ADAPTER)
    config = draft.mapping(endpoint.get("adapter_config"), key)
    return [(key, config)] if says(config) else []


def adapt(
    draft: Draft, name: str, benchmark: Mapping[str, Any], params: dict[str, Any], configs: Adapters
) -> None:
    """Write the adapter's configuration to the *params* of a task, or record an error."""
    harness = str(benchmark.get("harness") or benchmark["task"].partition(".")[0])
    for key, config in configs:
        if catalogue.find_harness(harness).adapter == "nemo":
            merge(params, {"extra": {"adapter_config": {}}})
            merge(params["extra"]["adapter_config"], config)
        else:
            draft.refuse(
                key,
                f"only eval-factory harnesses have an adapter, and {name} uses {harness}; remove "
                "one of them",
            )
