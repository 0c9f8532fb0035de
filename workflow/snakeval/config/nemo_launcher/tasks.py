"""``evaluation``: its tasks become benchmarks, its parameters those of every evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from snakeval import catalogue
from snakeval.config.benchmarks import Params
from snakeval.config.models import EndpointType
from snakeval.config.nemo_launcher.draft import Draft, Variables, fit, says
from snakeval.config.nemo_launcher.execution import Where
from snakeval.config.overrides import unshared
from snakeval.config.source import Key
from snakeval.errors import did_you_mean

_CONFIGS = ("nemo_evaluator_config", "overrides")
_TASK = {"name", "container", "endpoint_type", "env_vars", *_CONFIGS}
#: Keys that the launcher has, and why they are refused.
_REFUSED = {
    "pre_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
    "post_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
    "dataset_dir": "is not supported yet; mount it with execution.mounts.evaluation",
    "dataset_mount_path": "is not supported yet; mount it with execution.mounts.evaluation",
}
_ADAPTER = ("target", "api_endpoint", "adapter_config")

#: Configurations of the adapter between harness and model, the later the stronger, with the key
#: of each.
Adapters = list[tuple[Key, dict[str, Any]]]

#: Harnesses whose tasks are named HARNESS.TASK where another has the name: upstream's is none of
#: the launcher's, and codec looks for contamination with the names of other harnesses' tasks.
_IN_FULL = frozenset({"lm-eval", "codec"})


@dataclass(frozen=True)
class _Task:
    """One of ``evaluation.tasks``: its benchmark, and the types of endpoint that it can ask."""

    key: Key
    name: str
    benchmark: dict[str, Any]
    kinds: tuple[str, ...]


def read(draft: Draft, where: Where, allowed: Collection[str]) -> list[str]:
    """Read ``evaluation``; return the types of endpoint that its tasks need, each once.

    *allowed* are the types that ``target`` may be asked as.
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
                "is for tasks of `evaluation`, and there are none; write a "
                "benchmark's params.extra.adapter_config",
            )
    if ours is not None:
        draft.layer(("params",), ours, ("params",))
    env = Variables(dict(where.env["evaluation"].names))
    env.update(_env(draft, section, key))
    tasks = _tasks(draft, section.get("tasks"), allowed, adapters)
    kinds = list(dict.fromkeys(task.kinds[0] for task in tasks))
    for task in tasks:
        if len(kinds) > 1 and len(task.kinds) > 1:
            task.benchmark["endpoint_types"] = [task.kinds[0]]  # not on both models
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
            draft.refuse((*place, "name"), "must be the name of a task, as `snakeval ls tasks` has")
            continue
        found = _catalogued(draft, name, spec, place, allowed)
        if found is None:
            continue
        benchmark, kinds = found
        own: dict[str, Any] = {}
        adapted = [*adapters]
        for said, config in _configs(draft, spec, place):
            _merge(own, _params(draft, config, said))
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
    """Return the benchmark of a task, and the allowed types of endpoint that it can ask.

    A name that several harnesses have means, as in the launcher's examples, the one that can ask
    the model's endpoint: chat where the configuration does not say.
    """
    given = spec.get("endpoint_type")
    types = (str(given),) if given else tuple(allowed)
    if given and given not in allowed:
        draft.refuse(
            (*place, "endpoint_type"),
            f"is {given}, and target.api_endpoint is for {' or '.join(allowed)}; correct one",
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
        draft.refuse((*place, "name"), f"several harnesses have a task '{name}'; write {names}")
        return None
    benchmark: dict[str, Any] = {}
    if fitting:
        task = fitting[0]
        benchmark["task"] = task.qualified
        can = types if given else tuple(t for t in task.endpoint_types if t in types)
        if not can:
            draft.refuse(
                place,
                f"{name} asks a {' or '.join(task.endpoint_types)} endpoint, and "
                f"target.api_endpoint is for {' or '.join(types)}; correct its url or type, or "
                "take the task out",
            )
            return None
    else:
        harness, _, own = name.partition(".")
        if not own or harness not in catalogue.harnesses():
            names_known = [n for t in catalogue.tasks() for n in (t.name, t.qualified)]
            hint = did_you_mean(name, names_known) or (
                "; for one of your own write HARNESS.TASK, with a harness of the catalogue"
            )
            draft.refuse((*place, "name"), f"no task '{name}' in the catalogue{hint}")
            return None
        benchmark |= {"harness": harness, "task": own}
        chat = EndpointType.CHAT.value
        can = types if given or chat not in types else (chat,)
    if given:
        benchmark["endpoint_types"] = [str(given)]
    if spec.get("container"):
        benchmark["image"] = spec["container"]
    return benchmark, can


def _put(draft: Draft, task: _Task) -> None:
    """Give the benchmark a name of its own: a second task of the same name gets a number."""
    named = fit(task.name)
    taken = draft.data.get("benchmarks")
    taken = taken if isinstance(taken, Mapping) else {}
    if any(task.name == str(name) for name in draft.section("benchmarks")):
        draft.refuse(("benchmarks", task.name), "is a task of `evaluation`, too; rename yours")
    number, name = 1, named
    while name in taken:
        number += 1
        name = f"{named[:60]}-{number}"
    draft.put(("benchmarks", name), task.benchmark, task.key)


# --- parameters ---------------------------------------------------------------------------


def _configs(
    draft: Draft, section: Mapping[str, Any], key: Key
) -> list[tuple[Key, dict[str, Any]]]:
    """Return what ``nemo_evaluator_config`` and ``overrides`` say, dotted keys written out."""
    found = []
    for name in _CONFIGS:
        said = (*key, name)
        config = _nested(draft.mapping(section.get(name), said))
        if says(config):
            draft.only(said, config, {"config", "target"})
            found.append((said, config))
    return found


def _nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Write dotted keys out: ``{"config.params.top_p": 1}`` is three mappings deep."""
    nested: dict[str, Any] = {}
    for name, value in dotted.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        _merge(nested, value)
    return nested


def _params(draft: Draft, config: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return ``config.params``."""
    key = (*key, "config")
    inner = draft.mapping(config.get("config"), key)
    if says(inner.pop("target", None)):
        draft.refuse((*key, "target"), "stands within config; write it beside config")
    draft.only(key, inner, {"params"})
    params = draft.mapping(inner.get("params"), (*key, "params"))
    draft.only((*key, "params"), params, set(Params.model_fields))
    return params


# --- the adapter between harness and model ------------------------------------------------


def _endpoint(draft: Draft, config: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return ``target.api_endpoint`` of tasks, which may configure the adapter only."""
    key = (*key, "target")
    target = draft.mapping(config.get("target"), key)
    draft.only(key, target, {"api_endpoint"})
    endpoint = draft.mapping(target.get("api_endpoint"), (*key, "api_endpoint"))
    for name in endpoint:
        if name != "adapter_config":
            place = (*key, "api_endpoint", name)
            draft.refuse(place, "belongs to the top's target.api_endpoint; set it there")
    return endpoint


def _adapter(draft: Draft, endpoint: Mapping[str, Any], key: Key) -> Adapters:
    """Return what an ``api_endpoint`` below *key* says of the adapter, if it does."""
    key = (*key, *_ADAPTER)
    config = draft.mapping(endpoint.get("adapter_config"), key)
    return [(key, config)] if says(config) else []


def _adapt(
    draft: Draft, name: str, benchmark: Mapping[str, Any], params: dict[str, Any], configs: Adapters
) -> None:
    """Put the adapter's configuration into the *params* of a task, or refuse it."""
    harness = str(benchmark.get("harness") or benchmark["task"].partition(".")[0])
    for key, config in configs:
        if catalogue.find_harness(harness).adapter == "nemo":
            _merge(params, {"extra": {"adapter_config": {}}})
            _merge(params["extra"]["adapter_config"], config)
        else:
            draft.refuse(
                key,
                f"adapters are of eval-factory harnesses, and {name} is of {harness}; take one "
                "of them out",
            )


def _merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = unshared(value)
