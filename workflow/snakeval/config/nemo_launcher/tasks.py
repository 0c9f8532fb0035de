"""Translates the launcher's ``evaluation``: tasks become benchmarks, and their parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snakeval import catalogue
from snakeval.config.endpoints import EndpointType
from snakeval.config.nemo_launcher import params
from snakeval.config.nemo_launcher.draft import Draft, Variables, fit, merge, says
from snakeval.config.nemo_launcher.params import Adapters
from snakeval.config.nemo_launcher.where import Where
from snakeval.config.source import Key
from snakeval.errors import did_you_mean, misspelt

_CONFIGS = ("nemo_evaluator_config", "overrides")
_DATASET = ("dataset_dir", "dataset_mount_path")
_TASK = {"name", "container", "endpoint_type", "env_vars", *_CONFIGS, *_DATASET, *params.MISPLACED}
#: The launcher's default place of a data set, and its variable for the place.
_DATASETS, _DATASET_VARIABLE = "/datasets", "NEMO_EVALUATOR_DATASET_DIR"
#: The launcher's keys that snakeval does not support, with the message for each.
_REFUSED = {
    "pre_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
    "post_cmd": "is not supported; put it into the image, or write a benchmark with `command`",
}
#: Tasks of older releases -> their names in the catalogue.
_RENAMED = {"mbpp": "mbpp-chat"}
_ENDPOINT = ("target", "api_endpoint")

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
    env: Variables

    def finish(self, shared: Variables, mounts: Sequence[Mapping[str, Any]]) -> None:
        """Write the variables and mounts, after the *shared* ones of all tasks."""
        env = Variables()
        env.update(shared)
        env.update(self.env)
        own = self.benchmark.pop("mounts", [])
        values = {"env": env.names, "set_env": env.values, "mounts": [*mounts, *own]}
        self.benchmark.update({name: value for name, value in values.items() if value})


def read(draft: Draft, where: Where, allowed: Collection[str]) -> list[str]:
    """Read ``evaluation``; return the types of endpoint that its tasks require, each once.

    *allowed* are the types that ``target`` offers.
    """
    key = ("evaluation",)
    section = draft.section(*key)
    draft.only(key, section, {"tasks", "env_vars", *_CONFIGS, *_REFUSED})
    _refuse(draft, section, key)
    ours = draft.data.pop("params", None)
    adapters = params.adapter(draft, draft.section(*_ENDPOINT), ())
    for said, config in params.configs(draft, section, key):
        draft.layer(("params",), params.params(draft, config, said), said)
        adapters += params.adapters(draft, config, said)
    if not section.get("tasks"):
        for said, _ in adapters:
            draft.refuse(
                said,
                "applies to the tasks of `evaluation`, which has none; set "
                "params.extra.adapter_config of a benchmark",
            )
    if ours is not None:
        draft.layer(("params",), ours, ("params",))
    env = Variables()
    env.update(where.env["evaluation"])
    env.update(params.variables(draft, section, key))
    tasks = _tasks(draft, section.get("tasks"), allowed, adapters)
    kinds = list(dict.fromkeys(task.kinds[0] for task in tasks))
    for task in tasks:
        if len(kinds) > 1 and len(task.kinds) > 1:
            task.benchmark["endpoint_types"] = [task.kinds[0]]  # run on one of the models only
        task.finish(env, where.mounts["evaluation"])
        _put(draft, task)
    return kinds


def _refuse(draft: Draft, section: Mapping[str, Any], key: Key) -> None:
    for name, sentence in _REFUSED.items():
        if says(section.get(name)):
            draft.refuse((*key, name), sentence)


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
        for said, config in params.configs(draft, spec, place):
            merge(own, params.params(draft, config, said))
            adapted += params.adapters(draft, config, said)
        params.adapt(draft, name, benchmark, own, adapted)
        if own:
            benchmark["params"] = own
        env = params.variables(draft, spec, place)
        _dataset(draft, spec, place, benchmark, env)
        tasks.append(_Task(place, name, benchmark, kinds, env))
    return tasks


def _dataset(
    draft: Draft, spec: Mapping[str, Any], place: Key, benchmark: dict[str, Any], env: Variables
) -> None:
    """Mount ``dataset_dir``, and name its place in the launcher's variable."""
    source, target = spec.get("dataset_dir"), spec.get("dataset_mount_path") or _DATASETS
    if says(source):
        benchmark["mounts"] = [{"source": source, "target": target, "read_only": False}]
        env.update(Variables(values={_DATASET_VARIABLE: str(target)}))
    elif says(spec.get("dataset_mount_path")):
        draft.refuse((*place, "dataset_mount_path"), "requires dataset_dir; add it, or remove both")


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
    if short := _RENAMED.get(name.rpartition(".")[2]):
        draft.note((*place, "name"), f"{name} is now called {short}")
        name = short
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
