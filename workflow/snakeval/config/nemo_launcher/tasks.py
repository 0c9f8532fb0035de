"""Translates the launcher's ``evaluation``: tasks become benchmarks, and their parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from snakeval import catalogue
from snakeval.config.benchmarks import Params
from snakeval.config.models import EndpointType
from snakeval.config.nemo_launcher.draft import Draft, Variables, fit, merge, nested, says
from snakeval.config.nemo_launcher.execution import Where
from snakeval.config.source import Key
from snakeval.errors import did_you_mean, misspelt

_CONFIGS = ("nemo_evaluator_config", "overrides")
_TASK = {"name", "container", "endpoint_type", "env_vars", *_CONFIGS}
#: The launcher's keys that snakeval does not support, with the message for each.
_REFUSED = {
    "pre_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
    "post_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
    "dataset_dir": "is not supported yet; mount it with execution.mounts.evaluation",
    "dataset_mount_path": "is not supported yet; mount it with execution.mounts.evaluation",
}
_ADAPTER = ("target", "api_endpoint", "adapter_config")

#: Configurations of the adapter between harness and model, each with its key. Later ones override
#: earlier ones.
Adapters = list[tuple[Key, dict[str, Any]]]

#: Harnesses that win an ambiguous task name only if it is written HARNESS.TASK. The launcher does
#: not have lm-eval, and codec searches for contamination under the names of other harnesses' tasks.
_IN_FULL = frozenset({"lm-eval", "codec"})


@dataclass(frozen=True)
class _Task:
    """One of ``evaluation.tasks``: its benchmark, and the types of endpoint that it supports."""

    key: Key
    name: str
    benchmark: dict[str, Any]
    kinds: tuple[str, ...]


def read(draft: Draft, where: Where, allowed: Collection[str]) -> list[str]:
    """Read ``evaluation``; return the types of endpoint that its tasks require, each once.

    *allowed* are the types that ``target`` offers.
    """
    key = ("evaluation",)
    section = draft.section(*key)
    draft.only(key, section, {"tasks", "env_vars", *_CONFIGS, *_REFUSED})
    _refuse(draft, section, key)
    ours = draft.data.pop("params", None)
    adapters = _adapter(draft, draft.section(*_ADAPTER[:-1]), ())
    for said, config in _configs(draft, section, key):
        draft.layer(("params",), _params(draft, config, said), said)
        adapters += _adapter(draft, _endpoint(draft, config, said), said)
    if not section.get("tasks"):
        for said, _ in adapters:
            draft.refuse(
                said,
                "applies to the tasks of `evaluation`, which has none; set "
                "params.extra.adapter_config of a benchmark",
            )
    if ours is not None:
        draft.layer(("params",), ours, ("params",))
    env = Variables(dict(where.env["evaluation"].names))
    env.update(_env(draft, section, key))
    tasks = _tasks(draft, section.get("tasks"), allowed, adapters)
    kinds = list(dict.fromkeys(task.kinds[0] for task in tasks))
    for task in tasks:
        if len(kinds) > 1 and len(task.kinds) > 1:
            task.benchmark["endpoint_types"] = [task.kinds[0]]  # run on one of the models only
        if names := {**env.names, **task.benchmark.pop("env", {})}:
            task.benchmark["env"] = names
        if where.mounts["evaluation"]:
            task.benchmark["mounts"] = where.mounts["evaluation"]
        _put(draft, task)
    return kinds


def _refuse(draft: Draft, section: Mapping[str, Any], key: Key) -> None:
    for name, sentence in _REFUSED.items():
        if says(section.get(name)):
            draft.refuse((*key, name), sentence)


def _env(draft: Draft, section: Mapping[str, Any], key: Key) -> Variables:
    key = (*key, "env_vars")
    values = draft.mapping(section.get("env_vars"), key)
    return draft.variables(values, key, literals=False)


def _tasks(draft: Draft, entries: Any, allowed: Collection[str], adapters: Adapters) -> list[_Task]:
    key = ("evaluation", "tasks")
    if not entries and draft.data.get("benchmarks"):
        return []
    if not isinstance(entries, list) or not entries:
        draft.refuse(key, "must be a list of tasks; write - name: ifeval")
        return []
    tasks: list[_Task] = []
    for number, entry in enumerate(entries):
        place = (*key, str(number))
        if not isinstance(entry, Mapping):
            draft.refuse(place, f"must hold keys and values; write - name: {entry!s:.60}")
            continue
        spec = draft.mapping(entry, place)
        draft.only(place, spec, {*_TASK, *_REFUSED})
        _refuse(draft, spec, place)
        name = spec.get("name")
        if not isinstance(name, str) or not name:
            draft.refuse(
                (*place, "name"), "must be the name of a task; list them with `snakeval ls tasks`"
            )
            continue
        found = _catalogued(draft, name, spec, place, allowed)
        if found is None:
            continue
        benchmark, kinds = found
        own: dict[str, Any] = {}
        adapted = [*adapters]
        for said, config in _configs(draft, spec, place):
            merge(own, _params(draft, config, said))
            adapted += _adapter(draft, _endpoint(draft, config, said), said)
        _adapt(draft, name, benchmark, own, adapted)
        if own:
            benchmark["params"] = own
        if names := _env(draft, spec, place).names:
            benchmark["env"] = names
        tasks.append(_Task(place, name, benchmark, kinds))
    return tasks


def _catalogued(
    draft: Draft, name: str, spec: Mapping[str, Any], place: Key, allowed: Collection[str]
) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    """Return the benchmark of a task, and the types among *allowed* that it supports.

    If several harnesses have the name, the one that supports the model's endpoint wins, as in the
    launcher's examples. If the configuration does not name the type, chat wins.
    """
    given = spec.get("endpoint_type")
    types = (str(given),) if given else tuple(allowed)
    if given and given not in allowed:
        draft.refuse(
            (*place, "endpoint_type"),
            f"is {given}, but target.api_endpoint is {' or '.join(allowed)}; correct one of them",
        )
        return None
    known = [t for t in catalogue.tasks() if name in (t.name, t.qualified)]
    known = [t for t in known if t.harness not in _IN_FULL] or known
    fitting = [t for t in known if set(types) & set(t.endpoint_types)] or known
    if len(fitting) > 1:
        chat = EndpointType.CHAT.value
        fitting = [t for t in fitting if chat in t.endpoint_types] or fitting
    if len(fitting) > 1:
        names = ", ".join(task.qualified for task in fitting)
        draft.refuse(
            (*place, "name"), f"several harnesses have a task '{name}'; write one of {names}"
        )
        return None
    benchmark: dict[str, Any] = {}
    if fitting:
        task = fitting[0]
        benchmark["task"] = task.qualified
        can = types if given else tuple(t for t in task.endpoint_types if t in types)
        if not can:
            draft.refuse(
                place,
                f"{name} requires a {' or '.join(task.endpoint_types)} endpoint, but "
                f"target.api_endpoint is {' or '.join(types)}; correct its url or type, or "
                "remove the task",
            )
            return None
    else:
        if (custom := _custom(draft, name, place)) is None:
            return None
        benchmark |= custom
        chat = EndpointType.CHAT.value
        can = types if given or chat not in types else (chat,)
    if given:
        benchmark["endpoint_types"] = [str(given)]
    if spec.get("container"):
        benchmark["image"] = spec["container"]
    return benchmark, can


def _custom(draft: Draft, name: str, place: Key) -> dict[str, Any] | None:
    """Return the benchmark of a task HARNESS.TASK that the catalogue does not have."""
    harness, _, own = name.partition(".")
    if not own or harness not in catalogue.harnesses():
        known = [n for t in catalogue.tasks() for n in (t.name, t.qualified)]
        hint = did_you_mean(name, known) or (
            "; for a custom task write HARNESS.TASK, with a harness of the catalogue"
        )
    elif near := misspelt(own, [t.name for t in catalogue.tasks() if t.harness == harness]):
        hint = (
            f"; did you mean '{harness}.{near}'? For a custom task of this name, write a "
            "benchmark with `harness` and `task`"
        )
    else:
        return {"harness": harness, "task": own}
    draft.refuse((*place, "name"), f"no task '{name}' in the catalogue{hint}")
    return None


def _put(draft: Draft, task: _Task) -> None:
    """Write the benchmark under a unique name: a second task of the same name gets a number."""
    named = fit(task.name)
    taken = draft.data.get("benchmarks")
    taken = taken if isinstance(taken, Mapping) else {}
    if any(task.name == str(name) for name in draft.section("benchmarks")):
        draft.refuse(("benchmarks", task.name), "has the name of a task of `evaluation`; rename it")
    number, name = 1, named
    while name in taken:
        number += 1
        name = f"{named[:60]}-{number}"
    draft.put(("benchmarks", name), task.benchmark, task.key)


# --- parameters ---------------------------------------------------------------------------


def _configs(
    draft: Draft, section: Mapping[str, Any], key: Key
) -> list[tuple[Key, dict[str, Any]]]:
    """Return ``nemo_evaluator_config`` and ``overrides`` with dotted keys expanded."""
    found = []
    for name in _CONFIGS:
        said = (*key, name)
        config = nested(draft.mapping(section.get(name), said))
        if says(config):
            draft.only(said, config, {"config", "target"})
            found.append((said, config))
    return found


def _params(draft: Draft, config: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return ``config.params`` of a task or of all tasks."""
    key = (*key, "config")
    inner = draft.mapping(config.get("config"), key)
    if says(inner.pop("target", None)):
        draft.refuse((*key, "target"), "is inside config; move it next to config")
    draft.only(key, inner, {"params"})
    params = draft.mapping(inner.get("params"), (*key, "params"))
    draft.only((*key, "params"), params, set(Params.model_fields))
    return params


# --- the adapter between harness and model ------------------------------------------------


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


def _adapter(draft: Draft, endpoint: Mapping[str, Any], key: Key) -> Adapters:
    """Return the adapter's configuration of an ``api_endpoint`` below *key*, if it has one."""
    key = (*key, *_ADAPTER)
    config = draft.mapping(endpoint.get("adapter_config"), key)
    return [(key, config)] if says(config) else []


def _adapt(
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
