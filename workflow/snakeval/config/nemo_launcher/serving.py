"""Reads a model server of a launcher's configuration: ``deployment``, or an auxiliary one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.catalogue import ServerKind
from snakeval.config.nemo_launcher import lepton, ray
from snakeval.config.nemo_launcher.draft import Draft, Variables, says
from snakeval.config.nemo_launcher.where import Where
from snakeval.config.source import Key
from snakeval.errors import ConfigError, did_you_mean

#: The values of snakeval's ``deployment``, each with the launcher's key that sets it.
Values = dict[str, tuple[Any, Key]]

#: Keys of a deployment that both shapes share; the last row is only in snakeval's.
_SAME = (
    "image", "checkpoint_path", "hf_model_handle", "served_model_name",
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
    "gpus", "mounts", "shm_mb", "mem_mb", "idle_timeout", "max_restarts", "runtime",
    "nodes", "instances",
)  # fmt: skip
#: Keys that the functions below translate.
_READ = {
    "type", "port", "extra_args", "gpu_memory_utilization", "command", "base_command", "pre_cmd",
    "env_vars", "endpoints", "lepton_config", "data_parallel_size_local",
    "distributed_executor_backend",
}  # fmt: skip
#: The launcher's keys that snakeval does not support, with the message for each.
_REFUSED = {
    "multiple_instances": "is not supported; write execution.num_instances",
    "server_timeout": "is not supported; write execution.endpoint_readiness_timeout",
}
#: The launcher's types that snakeval does not support, with the hint for each.
_REFUSED_TYPES = {"vllm_pd": "; write type: vllm"}
#: The launcher's type for Ray, of which snakeval makes a command of this kind.
_RAY, _RAY_KIND = "vllm_ray", "vllm"
#: The launcher's name of a path -> snakeval's.
_PATHS = {
    "chat": "chat",
    "completions": "completions",
    "embedding": "embeddings",
    "health": "health",
}
#: The launcher's default port. If no command uses it, snakeval chooses a free port instead.
_PORT = 8000
#: Options that the launcher's commands have by default, by kind. Several names are one option.
_OPTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "vllm": (("--trust-remote-code", "--no-trust-remote-code"),),
    "trtllm": (("--trust_remote_code", "--trust-remote-code"),),
}
#: The start of ``base_command`` in snakeval's config groups.
_BASE = "vllm serve {{ model }} --host"
_SHARE, _DEFAULT_SHARE = "--gpu-memory-utilization", 0.95
#: The launcher's default images.
_IMAGES = {
    "vllm": "vllm/vllm-openai:latest",
    "sglang": "lmsysorg/sglang:latest",
    "trtllm": "nvcr.io/nvidia/tensorrt-llm/release:1.0.0",
}


@dataclass(frozen=True)
class Server:
    """A server of a configuration, with the settings from outside its section.

    Attributes:
        key: the section's place.
        section: its keys.
        more: further keys that a subclass of sections has, such as ``num_nodes``.
        variables: the variables of its container.
        mounts: its mounts, and the key that sets them.
        placed: ``nodes`` and ``instances``.
    """

    key: Key
    section: dict[str, Any]
    more: frozenset[str]
    variables: Variables
    mounts: tuple[list[dict[str, Any]], Key]
    placed: Values


def read(draft: Draft, where: Where, server: Server) -> Values | None:
    """Return the keys of snakeval's ``deployment``, or None if the kind is wrong."""
    key, section = server.key, server.section
    served = str(section.get("type"))
    kind = _RAY_KIND if served == _RAY else served
    facts = _kind(draft, kind, (*key, "type"))
    if facts is None:
        return None
    draft.only(key, section, {*_SAME, *_READ, *_REFUSED, *server.more})
    for name, sentence in _REFUSED.items():
        if says(section.get(name)):
            draft.refuse((*key, name), sentence)
    values: Values = {"kind": (kind, (*key, "type"))}
    values |= {name: (section[name], (*key, name)) for name in _SAME if says(section.get(name))}
    if where.profile == "lepton" and _is_handle(section.get("checkpoint_path")):
        # The launcher's examples name the hub's model so.
        values.setdefault("hf_model_handle", values["checkpoint_path"])
        del values["checkpoint_path"]
    values = {k: v for k, v in server.placed.items() if v[0] != 1} | values
    if where.readiness_timeout:
        values["readiness_timeout"] = where.readiness_timeout
    mounts, said = server.mounts
    if mounts:
        own = section.get("mounts")
        values["mounts"] = ([*(own if isinstance(own, list) else ()), *mounts], said)
    values |= _command(draft, served, kind, facts, server)
    values |= _variables(draft, server)
    values |= _paths(draft, facts, server)
    if kind in _IMAGES and not section.get("image"):
        draft.note(
            (*key, "image"),
            f"is {facts.image}, and the launcher's default is {_IMAGES[kind]}",
        )
    return values


def name_of(section: Mapping[str, Any]) -> str:
    """Return the name of a served model."""
    weights = section.get("checkpoint_path")
    wanted = section.get("served_model_name") or section.get("hf_model_handle")
    return str(wanted or (Path(str(weights)).name if weights else section.get("type")))


def _is_handle(checkpoint: Any) -> bool:
    """Whether a checkpoint is ORGANIZATION/MODEL of the hub, and no path."""
    text = str(checkpoint or "")
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text)) and not Path(text).exists()


def _kind(draft: Draft, served: str, key: Key) -> ServerKind | None:
    """Return a kind of server, built in or installed; refuse an unknown or a broken one."""
    known = catalogue.server_kind_names()
    if served not in known:
        hint = _REFUSED_TYPES.get(served) or did_you_mean(served, ["none", _RAY, *known])
        hint = hint or f"; choose one of none, {', '.join(known)}"
        draft.refuse(key, f"no deployment '{served:.60}'{hint}")
        return None
    try:
        return catalogue.server_kind(served)
    except ConfigError as error:
        draft.refuse(key, str(error))
        return None


def _command(draft: Draft, served: str, kind: str, facts: ServerKind, server: Server) -> Values:
    """Return the server's command, port and arguments.

    The launcher's command contains ``extra_args``; snakeval appends them to the command.
    """
    section, key = server.section, server.key
    name = "command" if section.get("command") else "base_command"
    own, before, port = section.get(name), section.get("pre_cmd"), section.get("port")
    nodes = section.get("nodes") or server.placed.get("nodes", (1, key))[0]
    nodes = nodes if isinstance(nodes, int) else 1  # the configuration's check reports others
    if name == "base_command" and str(own or "").startswith(_BASE):
        own = None  # the default of the config group
    values: Values = {}
    if own or port not in (None, _PORT):
        values["port"] = (port or _PORT, (*key, "port"))
    text = facts.command
    if own:
        text = ray.with_launchers_variables(str(own), nodes)
    else:
        if extra := _arguments(draft, served, kind, server):
            values["extra_args"] = (extra, (*key, "extra_args"))
        if kind == _RAY_KIND and nodes > 1:
            text = ray.on_several_nodes(section, nodes, use_ray=served == _RAY)
            name = "type"
        if says(section.get("data_parallel_size_local")) and nodes == 1:
            draft.note(
                (*key, "data_parallel_size_local"),
                "has no effect without a `command`, as in the launcher; write data_parallel_size",
            )
    if before and not text:
        draft.refuse((*key, "pre_cmd"), f"type {served} has no command; add `command`")
    elif before:
        values["command"] = (f"{before}\n{text}", (*key, "pre_cmd"))
    elif text != facts.command:
        values["command"] = (text, (*key, name))
    return values


def _arguments(draft: Draft, served: str, kind: str, server: Server) -> str:
    """Return ``extra_args`` after the options that the launcher's command has by default."""
    section, key = server.section, server.key
    extra = str(section.get("extra_args") or "")
    options = [names[0] for names in _OPTIONS.get(kind, ()) if not any(n in extra for n in names)]
    share = section.get("gpu_memory_utilization")
    if kind == "vllm" and _SHARE not in extra:
        options.append(f"{_SHARE} {share or _DEFAULT_SHARE}")
    elif share and kind != "vllm":
        draft.refuse((*key, "gpu_memory_utilization"), "requires type vllm; remove it")
    if options and share in (None, _DEFAULT_SHARE):
        draft.note((*key, "extra_args"), f"the launcher's default options: {' '.join(options)}")
    backend = section.get("distributed_executor_backend") or ("ray" if served == _RAY else "")
    if backend and kind == "vllm" and "--distributed-executor-backend" not in extra:
        options.append(f"--distributed-executor-backend {backend}")
    return " ".join([*options, extra]).strip()


def _variables(draft: Draft, server: Server) -> Values:
    key = (*server.key, "env_vars")
    given = draft.mapping(server.section.get("env_vars"), key)
    variables = server.variables
    variables.update(draft.variables(given, key))
    config = (*server.key, "lepton_config")
    variables.update(lepton.endpoint_variables(draft, server.section.get("lepton_config"), config))
    values = {"env": (variables.names, key), "set_env": (variables.values, key)}
    return {name: value for name, value in values.items() if value[0]}


def _paths(draft: Draft, facts: ServerKind, server: Server) -> Values:
    """Return the server's paths that differ from the defaults of its kind."""
    key = (*server.key, "endpoints")
    given = draft.mapping(server.section.get("endpoints"), key)
    # The launcher's default; no task requires a model of this type.
    if given.get("ranking") in ("/v1/ranking", None):
        given.pop("ranking", None)
    draft.only(key, given, _PATHS)
    usual = {**facts.routes, "health": facts.health}
    paths = {
        ours: given[theirs]
        for theirs, ours in _PATHS.items()
        if given.get(theirs) and given[theirs] != usual[theirs]
    }
    if "health" in given and given["health"] is None:
        # A server without a health path still lists its models.
        paths["health"] = "/v1/models"
    return {"endpoints": (paths, key)} if paths else {}
