"""Translates the launcher's ``auxiliary_deployments``, such as judges, into ``auxiliary``.

Tasks refer to a server as ``auxiliary_deployments.NAME.chat_url`` or ``….model_id`` in their
parameters. These references become snakeval's templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.config.endpoints import EndpointType
from snakeval.config.nemo_launcher import serving
from snakeval.config.nemo_launcher.draft import Draft, Variables, says
from snakeval.config.nemo_launcher.where import Where
from snakeval.config.source import Key

_SECTION = "auxiliary_deployments"
_REFERENCE = re.compile(rf"\b{_SECTION}\.([\w-]+)\.(?:(\w+)_url|model_id)\b")
#: Keys of an auxiliary server that the main one does not have.
_MORE = frozenset({"num_nodes", "num_instances", "n_tasks", "env_prefix"})
_KINDS = {kind.value for kind in EndpointType}


def read(draft: Draft, where: Where) -> None:
    """Write ``auxiliary``, and let benchmarks refer to it."""
    servers = draft.section(_SECTION)
    used = {name: set[str]() for name in servers}
    users = _users(draft, used)
    for name, value in servers.items():
        key = (_SECTION, name)
        section = draft.mapping(value, key)
        if section.get("type", "none") == "none":
            continue
        if name in draft.section("auxiliary"):
            draft.refuse(key, "is also in `auxiliary`; rename one")
            continue
        values = serving.read(draft, where, _server(draft, where, name, section))
        if values is None:
            continue
        kinds = sorted(used[name]) or [EndpointType.CHAT.value]
        if len(kinds) > 1 or kinds[0] not in _KINDS:
            draft.refuse(key, f"tasks query its {' and '.join(kinds)} url; query one of {_KINDS}")
        elif kinds != [EndpointType.CHAT.value]:
            values["type"] = (kinds[0], key)
        for part, (item, said) in values.items():
            draft.put(("auxiliary", name, "deployment", part), item, said)
        _note_differences(draft, where, name, section)
        for benchmark in users.get(name) or draft.data.get("benchmarks", {}).values():
            benchmark.setdefault("auxiliary", []).append(name)


def _server(draft: Draft, where: Where, name: str, section: dict[str, Any]) -> serving.Server:
    key = (_SECTION, name)
    nodes, instances = section.get("num_nodes") or 1, section.get("num_instances") or 1
    placed: serving.Values = {}
    if not (isinstance(nodes, int) and isinstance(instances, int)) or nodes % max(instances, 1):
        draft.refuse(key, f"{instances} instances cannot share {nodes} nodes equally")
    else:
        each = nodes // instances
        placed = {
            "nodes": (each, (*key, "num_nodes")),
            "instances": (instances, (*key, "num_instances")),
        }
    if says(tasks := section.get("n_tasks")) and tasks != nodes:
        draft.refuse((*key, "n_tasks"), f"a server runs one task on each node; write {nodes}")
    variables = where.auxiliary_env.setdefault(name, Variables())
    variables.update(draft.variables(draft.section("env_vars"), ("env_vars",)))
    mounts = where.auxiliary_mounts.get(name, [])
    said = ("execution", "mounts", "auxiliary", name)
    return serving.Server(key, section, _MORE, variables, (mounts, said), placed)


def _note_differences(draft: Draft, where: Where, name: str, section: Mapping[str, Any]) -> None:
    theirs = str(section.get("env_prefix") or name.upper())
    ours = re.sub(r"\W", "_", name).upper()
    draft.note(
        (_SECTION, name),
        f"harnesses have ${ours}_URL and ${ours}_MODEL_ID, not ${theirs}_CHAT_URL",
    )
    if where.profile == "slurm" and (section.get("num_nodes") or 1) == 1:
        draft.note(
            (_SECTION, name, "num_nodes"),
            "the server shares the model's node, which needs the GPUs of both; lower "
            "tensor_parallel_size if a node has fewer",
        )


def _users(draft: Draft, used: dict[str, set[str]]) -> dict[str, list[dict[str, Any]]]:
    """Replace the references in parameters; return the benchmarks with references, by server.

    Adds the kinds of URL that tasks query to *used*.
    """
    users: dict[str, list[dict[str, Any]]] = {}
    benchmarks = [b for b in _mappings(draft.data.get("benchmarks")) if isinstance(b, dict)]
    everywhere = _replace(draft, draft.data.get("params"), ("params",), used)
    for benchmark in benchmarks:
        here = _replace(draft, benchmark.get("params"), ("evaluation", "tasks"), used)
        for name in sorted(everywhere | here):
            users.setdefault(name, []).append(benchmark)
    return users


def _mappings(value: Any) -> Iterator[Any]:
    yield from value.values() if isinstance(value, Mapping) else ()


def _replace(draft: Draft, value: Any, key: Key, used: dict[str, set[str]]) -> set[str]:
    """Replace the references in the texts below *value*; return the names of the servers."""
    found: set[str] = set()

    def template(match: re.Match[str]) -> str:
        name, kind = match[1], match[2]
        if name not in used:
            draft.refuse(key, f"refers to {match[0]}, which is missing; add {_SECTION}.{name}")
            return match[0]
        found.add(name)
        if kind:
            used[name].add(kind)
        return f"{{{{ auxiliary['{name}'].{'url' if kind else 'model_id'} }}}}"

    if not isinstance(value, (dict, list)):
        return found
    for place, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(item, str):
            value[place] = _REFERENCE.sub(template, item)
        else:
            found |= _replace(draft, item, key, used)
    return found
