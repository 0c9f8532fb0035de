"""Reads the launcher's ``target`` or ``deployment`` as snakeval's models.

The result has one model for each type of endpoint that the tasks require.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.catalogue import ServerKind
from snakeval.config.models import ROUTES, EndpointType
from snakeval.config.nemo_launcher import lepton
from snakeval.config.nemo_launcher.draft import Draft, fit, says
from snakeval.config.nemo_launcher.execution import Where
from snakeval.config.source import Key
from snakeval.errors import ConfigError, did_you_mean

_TARGET = ("target", "api_endpoint")
_DEPLOYMENT = ("deployment",)
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
    "env_vars", "endpoints", "lepton_config",
}  # fmt: skip
#: The launcher's keys that snakeval does not support, with the message for each.
_REFUSED = {
    "multiple_instances": "is not supported; write `instances`",
    "server_timeout": "is not supported; write execution.endpoint_readiness_timeout",
}
#: The launcher's types that snakeval does not support, with the hint for each.
_REFUSED_TYPES = {
    "vllm_ray": "; write type: vllm with `nodes` and a command, as config/examples/vllm-ray.yaml",
    "vllm_pd": "; write type: vllm",
}
#: The launcher's name of a path -> snakeval's.
_PATHS = {
    "chat": "chat",
    "completions": "completions",
    "embedding": "embeddings",
    "health": "health",
}
#: The launcher's default port. If no command uses it, snakeval chooses a free port instead.
_PORT = 8000


def endpoint_types(draft: Draft) -> list[str]:
    """Return the types of endpoint that the model may have: all, unless the file restricts them."""
    every = [kind.value for kind in EndpointType]
    if _served(draft) != "none":
        return every
    endpoint = draft.section(*_TARGET)
    if endpoint.get("type"):
        return [str(endpoint["type"])]
    url = str(endpoint.get("url")).partition("?")[0].rstrip("/")
    # The longest match wins, since chat's route also ends with that of completions.
    ends = sorted((r for r in ROUTES.values() if url.endswith(r)), key=len)
    return [kind.value for kind, route in ROUTES.items() if ends and route == ends[-1]] or every


def read(draft: Draft, where: Where, kinds: Sequence[str]) -> None:
    """Write the models; *kinds* are the types of endpoint that the tasks require."""
    draft.only(("target",), draft.section("target"), {"api_endpoint"})
    served, section = _served(draft), draft.section(*_DEPLOYMENT)
    if served != "none":
        _deployment(draft, where, kinds, served, section)
    elif says({name: value for name, value in section.items() if name != "type"}):
        types = ", ".join(catalogue.server_kind_names())
        draft.refuse(_DEPLOYMENT, f"has keys, but its type is none; choose one of {types}")
    elif _target(draft) or not draft.data.get("models"):
        _endpoint(draft, where, kinds)


def _served(draft: Draft) -> str:
    return str(draft.section(*_DEPLOYMENT).get("type") or "none")


def _target(draft: Draft) -> dict[str, Any]:
    """Return ``target.api_endpoint`` without ``adapter_config``, which :mod:`.tasks` reads."""
    endpoint = draft.section(*_TARGET)
    endpoint.pop("adapter_config", None)
    return endpoint


def _endpoint(draft: Draft, where: Where, kinds: Sequence[str]) -> None:
    endpoint = _target(draft)
    draft.only(_TARGET, endpoint, {"url", "model_id", "type", "api_key_name"})
    missing = [name for name in ("url", "model_id") if not endpoint.get(name)]
    for name in missing:
        draft.refuse((*_TARGET, name), "is missing; add it")
    if missing:
        return
    if where.profile == "lepton" and (key := str(endpoint.get("api_key_name") or "")):
        # A job's variable has a secret of the workspace, perhaps by another name.
        endpoint["api_key_name"] = where.env["evaluation"].names.pop(key, key)
    for name, kind in _named(draft, str(endpoint["model_id"]), kinds or endpoint_types(draft)[:1]):
        place = ("models", name, "endpoint")
        for part in ("url", "model_id", "api_key_name"):
            if endpoint.get(part) is not None:
                draft.put((*place, part), endpoint[part], (*_TARGET, part))
        if kind != EndpointType.CHAT:
            draft.put((*place, "type"), kind, (*_TARGET, "type" if "type" in endpoint else "url"))


def _named(draft: Draft, wanted: str, kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield a model's name and type for each type of endpoint."""
    beside = draft.section("models")
    for position, kind in enumerate(kinds):
        name = f"{fit(wanted)[:50]}-{kind}" if position else fit(wanted)
        if name in beside:
            draft.refuse(
                ("models", name), "has the name of the model of `target` or `deployment`; rename it"
            )
        else:
            yield name, kind


def _deployment(
    draft: Draft, where: Where, kinds: Sequence[str], served: str, section: dict[str, Any]
) -> None:
    facts = _kind(draft, served)
    if facts is None:
        return
    draft.only(_DEPLOYMENT, section, {*_SAME, *_READ, *_REFUSED})
    for name, sentence in _REFUSED.items():
        if says(section.get(name)):
            draft.refuse((*_DEPLOYMENT, name), sentence)
    for name, value in _target(draft).items():
        if says(value) and (name, value) != ("model_id", section.get("served_model_name")):
            draft.refuse(
                (*_TARGET, name), "belongs to an endpoint, but the model is a deployment; remove it"
            )
    values: dict[str, tuple[Any, Key]] = {
        name: (section[name], (*_DEPLOYMENT, name)) for name in _SAME if says(section.get(name))
    }
    if where.profile == "lepton" and _is_handle(section.get("checkpoint_path")):
        # The launcher's examples name the hub's model so.
        values.setdefault("hf_model_handle", values["checkpoint_path"])
        del values["checkpoint_path"]
    values = {k: v for k, v in where.serving.items() if v[0] != 1} | values
    if where.readiness_timeout:
        values["readiness_timeout"] = where.readiness_timeout
    if where.mounts["deployment"]:
        own = section.get("mounts")
        mounts = [*(own if isinstance(own, list) else ()), *where.mounts["deployment"]]
        values["mounts"] = (mounts, ("execution", "mounts", "deployment"))
    values |= _command(draft, served, facts, section)
    values |= _variables(draft, where, section)
    values |= _paths(draft, facts, section)
    values |= lepton.endpoint(draft, section.get("lepton_config"), (*_DEPLOYMENT, "lepton_config"))
    if where.lepton:
        own, said = values.get("lepton", ({}, ("execution", "lepton_platform", "deployment")))
        values["lepton"] = (where.lepton | own, said)
    weights = section.get("checkpoint_path")
    wanted = section.get("served_model_name") or section.get("hf_model_handle")
    wanted = wanted or (Path(str(weights)).name if weights else served)
    for model, kind in _named(draft, str(wanted), kinds or [EndpointType.CHAT.value]):
        place = ("models", model, "deployment")
        draft.put((*place, "kind"), served, (*_DEPLOYMENT, "type"))
        for name, (value, said) in values.items():
            draft.put((*place, name), value, said)
        if kind != EndpointType.CHAT:
            draft.put((*place, "type"), kind, ("evaluation", "tasks"))


def _is_handle(checkpoint: Any) -> bool:
    """Whether a checkpoint is ORGANIZATION/MODEL of the hub, and no path."""
    text = str(checkpoint or "")
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", text)) and not Path(text).exists()


def _kind(draft: Draft, served: str) -> ServerKind | None:
    """Return a kind of server, built in or installed; refuse an unknown or a broken one."""
    known, key = catalogue.server_kind_names(), (*_DEPLOYMENT, "type")
    if served not in known:
        hint = _REFUSED_TYPES.get(served) or did_you_mean(served, ["none", *known])
        hint = hint or f"; choose one of none, {', '.join(known)}"
        draft.refuse(key, f"no deployment '{served:.60}'{hint}")
        return None
    try:
        return catalogue.server_kind(served)
    except ConfigError as error:
        draft.refuse(key, str(error))
        return None


def _command(
    draft: Draft, served: str, facts: ServerKind, section: Mapping[str, Any]
) -> dict[str, tuple[Any, Key]]:
    """Return the server's command, port and arguments.

    The launcher's command contains ``extra_args``; snakeval appends them to the command.
    """
    name = "command" if section.get("command") else "base_command"
    own, before = section.get(name), section.get("pre_cmd")
    port, extra = section.get("port"), str(section.get("extra_args") or "")
    values: dict[str, tuple[Any, Key]] = {}
    if own or port not in (None, _PORT):
        values["port"] = (port or _PORT, (*_DEPLOYMENT, "port"))
    if not own:
        if share := section.get("gpu_memory_utilization"):
            if served != "vllm":
                draft.refuse(
                    (*_DEPLOYMENT, "gpu_memory_utilization"), "requires type vllm; remove it"
                )
            extra = f"{extra} --gpu-memory-utilization {share}".strip()
        if extra:
            values["extra_args"] = (extra, (*_DEPLOYMENT, "extra_args"))
    text = own or facts.command
    if before and not text:
        draft.refuse((*_DEPLOYMENT, "pre_cmd"), f"type {served} has no command; add `command`")
    elif before:
        values["command"] = (f"{before}\n{text}", (*_DEPLOYMENT, "pre_cmd"))
    elif own:
        values["command"] = (own, (*_DEPLOYMENT, name))
    return values


def _variables(
    draft: Draft, where: Where, section: Mapping[str, Any]
) -> dict[str, tuple[Any, Key]]:
    key = (*_DEPLOYMENT, "env_vars")
    given = draft.mapping(section.get("env_vars"), key)
    variables = where.env["deployment"]
    variables.update(draft.variables(given, key, literals=True))
    config = (*_DEPLOYMENT, "lepton_config")
    variables.update(lepton.endpoint_variables(draft, section.get("lepton_config"), config))
    values = {"env": (variables.names, key), "set_env": (variables.values, key)}
    return {name: value for name, value in values.items() if value[0]}


def _paths(
    draft: Draft, facts: ServerKind, section: Mapping[str, Any]
) -> dict[str, tuple[Any, Key]]:
    """Return the server's paths that differ from the defaults of its kind."""
    key = (*_DEPLOYMENT, "endpoints")
    given = draft.mapping(section.get("endpoints"), key)
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
