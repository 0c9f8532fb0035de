"""``target`` or ``deployment``: one model, or one for each type of endpoint that tasks need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.config.models import ROUTES, EndpointType
from snakeval.config.nemo_launcher import lepton
from snakeval.config.nemo_launcher.draft import Draft, fit, says
from snakeval.config.nemo_launcher.execution import Where
from snakeval.config.source import Key
from snakeval.errors import did_you_mean

_TARGET = ("target", "api_endpoint")
_DEPLOYMENT = ("deployment",)
#: Keys of a deployment that mean the same in ours; the last row is ours only.
_SAME = (
    "image", "checkpoint_path", "hf_model_handle", "served_model_name",
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
    "gpus", "mounts", "shm_mb", "mem_mb", "idle_timeout", "max_restarts", "runtime",
    "nodes", "instances",
)  # fmt: skip
#: Keys that are translated below.
_READ = {
    "type", "port", "extra_args", "gpu_memory_utilization", "command", "base_command", "pre_cmd",
    "env_vars", "endpoints", "lepton_config",
}  # fmt: skip
#: Keys that the launcher has, and why they are refused.
_REFUSED = {
    "multiple_instances": "is not supported; write `instances`",
    "server_timeout": "is not supported; write execution.endpoint_readiness_timeout",
}
#: Types that the launcher has, and why they are refused.
_REFUSED_TYPES = {
    "vllm_ray": "; write type: vllm with `nodes` and a command, as config/examples/vllm-ray.yaml",
    "vllm_pd": "; write type: vllm",
}
#: The launcher's name of a path, and ours.
_PATHS = {
    "chat": "chat",
    "completions": "completions",
    "embedding": "embeddings",
    "health": "health",
}
#: The launcher's port, which few asked for: where no command names it, a free one is better.
_PORT = 8000


def endpoint_types(draft: Draft) -> list[str]:
    """Return the types that the model may be asked as: all, where nothing says it."""
    every = [kind.value for kind in EndpointType]
    if _served(draft) != "none":
        return every
    endpoint = draft.section(*_TARGET)
    if endpoint.get("type"):
        return [str(endpoint["type"])]
    url = str(endpoint.get("url")).partition("?")[0].rstrip("/")
    # The longest that fits: completions is the end of chat's route, too.
    ends = sorted((r for r in ROUTES.values() if url.endswith(r)), key=len)
    return [kind.value for kind, route in ROUTES.items() if ends and route == ends[-1]] or every


def read(draft: Draft, where: Where, kinds: Sequence[str]) -> None:
    """Make the models; *kinds* are the types of endpoint that the tasks need."""
    draft.only(("target",), draft.section("target"), {"api_endpoint"})
    served, section = _served(draft), draft.section(*_DEPLOYMENT)
    if served != "none":
        _deployment(draft, where, kinds, served, section)
    elif says({name: value for name, value in section.items() if name != "type"}):
        types = ", ".join(catalogue.server_kinds())
        draft.refuse(_DEPLOYMENT, f"has keys, and type none; write one of {types}")
    elif _target(draft) or not draft.data.get("models"):
        _endpoint(draft, kinds)


def _served(draft: Draft) -> str:
    return str(draft.section(*_DEPLOYMENT).get("type") or "none")


def _target(draft: Draft) -> dict[str, Any]:
    """``target.api_endpoint``, but for the adapter of its tasks (see :mod:`.evaluation`)."""
    endpoint = draft.section(*_TARGET)
    endpoint.pop("adapter_config", None)
    return endpoint


def _endpoint(draft: Draft, kinds: Sequence[str]) -> None:
    endpoint = _target(draft)
    draft.only(_TARGET, endpoint, {"url", "model_id", "type", "api_key_name"})
    missing = [name for name in ("url", "model_id") if not endpoint.get(name)]
    for name in missing:
        draft.refuse((*_TARGET, name), "is missing; add it")
    if missing:
        return
    for name, kind in _named(draft, str(endpoint["model_id"]), kinds or endpoint_types(draft)[:1]):
        place = ("models", name, "endpoint")
        for part in ("url", "model_id", "api_key_name"):
            if endpoint.get(part) is not None:
                draft.put((*place, part), endpoint[part], (*_TARGET, part))
        if kind != EndpointType.CHAT:
            draft.put((*place, "type"), kind, (*_TARGET, "type" if "type" in endpoint else "url"))


def _named(draft: Draft, wanted: str, kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name a model for each type."""
    beside = draft.section("models")
    for position, kind in enumerate(kinds):
        name = f"{fit(wanted)[:50]}-{kind}" if position else fit(wanted)
        if name in beside:
            draft.refuse(("models", name), "is the name of the launcher's model, too; rename yours")
        else:
            yield name, kind


def _deployment(
    draft: Draft, where: Where, kinds: Sequence[str], served: str, section: dict[str, Any]
) -> None:
    known = catalogue.server_kinds()
    if served not in known:
        hint = _REFUSED_TYPES.get(served) or did_you_mean(served, ["none", *known])
        hint = hint or f"; known are none, {', '.join(known)}"
        draft.refuse((*_DEPLOYMENT, "type"), f"no deployment '{served:.60}'{hint}")
        return
    draft.only(_DEPLOYMENT, section, {*_SAME, *_READ, *_REFUSED})
    for name, sentence in _REFUSED.items():
        if says(section.get(name)):
            draft.refuse((*_DEPLOYMENT, name), sentence)
    for name, value in _target(draft).items():
        if says(value) and (name, value) != ("model_id", section.get("served_model_name")):
            draft.refuse((*_TARGET, name), "is of an endpoint, and this is a deployment; drop it")
    values: dict[str, tuple[Any, Key]] = {
        name: (section[name], (*_DEPLOYMENT, name)) for name in _SAME if says(section.get(name))
    }
    values = {k: v for k, v in where.serving.items() if v[0] != 1} | values
    if where.readiness_timeout:
        values["readiness_timeout"] = where.readiness_timeout
    if where.mounts["deployment"]:
        own = section.get("mounts")
        mounts = [*(own if isinstance(own, list) else ()), *where.mounts["deployment"]]
        values["mounts"] = (mounts, ("execution", "mounts", "deployment"))
    values |= _command(draft, served, section)
    values |= _variables(draft, where, section)
    values |= _paths(draft, served, section)
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


def _command(draft: Draft, served: str, section: Mapping[str, Any]) -> dict[str, tuple[Any, Key]]:
    """The command, its port and its arguments.

    The launcher's own command names ``extra_args`` itself; ours has them appended.
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
                draft.refuse((*_DEPLOYMENT, "gpu_memory_utilization"), "is of type vllm only")
            extra = f"{extra} --gpu-memory-utilization {share}".strip()
        if extra:
            values["extra_args"] = (extra, (*_DEPLOYMENT, "extra_args"))
    text = own or catalogue.server_kinds()[served].command
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
    values = {"env": (variables.names, key), "set_env": (variables.values, key)}
    return {name: value for name, value in values.items() if value[0]}


def _paths(draft: Draft, served: str, section: Mapping[str, Any]) -> dict[str, tuple[Any, Key]]:
    """The paths of the server, where they differ from what its kind has."""
    key = (*_DEPLOYMENT, "endpoints")
    given = draft.mapping(section.get("endpoints"), key)
    kind = catalogue.server_kinds()[served]
    draft.only(key, given, _PATHS)
    usual = {**kind.routes, "health": kind.health}
    paths = {
        ours: given[theirs]
        for theirs, ours in _PATHS.items()
        if given.get(theirs) and given[theirs] != usual[theirs]
    }
    if "health" in given and given["health"] is None:
        paths["health"] = "/v1/models"  # it has none; this one is asked in any case
    return {"endpoints": (paths, key)} if paths else {}
