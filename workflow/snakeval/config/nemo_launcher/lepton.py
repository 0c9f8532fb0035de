"""Reads the launcher's keys for Lepton in ``execution`` and in ``deployment.lepton_config``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, Variables, says
from snakeval.config.source import Key

#: Keys of ``lepton_config`` that mean the same in ``deployment.lepton``.
_SAME = (
    "resource_shape", "min_replicas", "max_replicas", "image_pull_secrets", "endpoint_name",
)  # fmt: skip
#: Dotted keys of ``lepton_config.auto_scaler`` -> snakeval's keys.
_SCALING = {
    "scale_down.no_traffic_timeout": "no_traffic_timeout",
    "target_gpu_utilization_percentage": "target_gpu_utilization",
    "target_throughput.qpm": "target_qpm",
}


#: A text that may be the name of a secret, and no value of one.
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def task_options(draft: Draft, value: Any, key: Key) -> Iterator[str]:
    """Yield Snakemake's options for ``execution.evaluation_tasks``."""
    tasks = draft.mapping(value, key)
    draft.only(key, tasks, {"resource_shape", "timeout", "use_shared_storage"})
    if says(tasks.get("resource_shape")):
        yield from ("--lepton-resource-shape", str(tasks["resource_shape"]))
    if says(tasks.get("timeout")) and not isinstance(tasks["timeout"], int):
        draft.refuse((*key, "timeout"), "must be a number of seconds")
    if tasks.get("use_shared_storage"):
        draft.refuse(
            (*key, "use_shared_storage"), "is not supported; set lepton-mount in the profile"
        )


def platform_options(draft: Draft, value: Any, key: Key) -> Iterator[str]:
    """Yield Snakemake's options for ``execution.lepton_platform.tasks``."""
    tasks = draft.mapping(value, key)
    known = {"node_group", "env_vars", "mounts", "image_pull_secrets", "api_tokens"}
    draft.only(key, tasks, known)
    if says(tasks.get("node_group")):
        yield from ("--lepton-node-group", str(tasks["node_group"]))
    if secrets := draft.items(tasks.get("image_pull_secrets"), (*key, "image_pull_secrets")):
        # Blanks separate names, and names have none.
        yield from ("--lepton-image-pull-secrets", " ".join(map(str, secrets)))
    if mounts := list(_mounts(draft, tasks.get("mounts"), (*key, "mounts"))):
        yield from ("--lepton-mounts", shlex.join(mounts))


def volume(draft: Draft) -> str:
    """Return the volume that the tasks mount first, or nothing."""
    mounts = draft.section("execution", "lepton_platform", "tasks").get("mounts")
    first = mounts[0] if isinstance(mounts, list) and mounts else None
    return str(first.get("from") or "") if isinstance(first, Mapping) else ""


def names_of_secrets(draft: Draft, value: Any, key: Key) -> dict[str, str]:
    """Return the variables in ``env_vars`` that hold the workspace's secrets: name -> secret.

    A bare NAME is a secret's name. The token of an endpoint that the file deploys is left out,
    because snakeval creates the endpoint's key.
    """
    found = {}
    tokens = _tokens(draft.section("deployment", "lepton_config").get("api_tokens"))
    for name, item in draft.mapping(value, key).items():
        secret = _below(item, "value_from.secret_name_ref") or item
        if isinstance(item, str) and item in tokens:
            continue
        if isinstance(secret, str) and (secret is not item or _NAME.fullmatch(secret)):
            found[name] = secret
        else:
            draft.refuse(
                (*key, name), "is a value; write value_from: {secret_name_ref: NAME}, or env_vars"
            )
    return found


def endpoint_tokens(draft: Draft, value: Any, key: Key) -> set[str]:
    """Return the variables in ``env_vars`` that only hold the token of a deployed endpoint."""
    tokens = _tokens(draft.section("deployment", "lepton_config").get("api_tokens"))
    return {name for name, item in draft.mapping(value, key).items() if item in tokens}


def _tokens(value: Any) -> list[str]:
    items = value if isinstance(value, list) else []
    return [str(item["value"]) for item in items if isinstance(item, Mapping) and "value" in item]


def endpoint(draft: Draft, value: Any, key: Key) -> dict[str, tuple[Any, Key]]:
    """Translate ``lepton_config`` into keys of ``deployment``, most of them of its ``lepton``."""
    given = draft.mapping(value, key)
    # The endpoint's key is snakeval's own, so api_tokens has no meaning.
    draft.only(key, given, {*_SAME, "auto_scaler", "mounts", "envs", "health", "api_tokens"})
    ours = {name: given[name] for name in _SAME if says(given.get(name))}
    ours |= _scaling(draft, given.get("auto_scaler"), (*key, "auto_scaler"))
    if not ours.keys() & {"target_gpu_utilization", "target_qpm"}:
        # Without a target the platform never adds a replica, so the number has no effect.
        ours.pop("max_replicas", None)
    place = (*key, "mounts")
    mounts = given.get("mounts")
    if isinstance(mounts, Mapping):
        mounts = _cache(draft, mounts, place)
    if mounts := list(_mounts(draft, mounts, place)):
        ours["mounts"] = mounts
    if says(given.get("health")):
        draft.refuse((*key, "health"), "is not supported; write deployment.endpoints.health")
    return {"lepton": (ours, key)} if ours else {}


def endpoint_variables(draft: Draft, value: Any, key: Key) -> Variables:
    """Return the variables of ``lepton_config.envs``: values, and names of secrets."""
    found = Variables()
    for name, item in draft.mapping(draft.mapping(value, key).get("envs"), (*key, "envs")).items():
        secret = _below(item, "value_from.secret_name_ref")
        if isinstance(secret, str):
            found.names[name] = secret
        elif isinstance(item, Mapping) or item is None:
            draft.refuse(
                (*key, "envs", name), "write a value, or value_from: {secret_name_ref: NAME}"
            )
        else:
            found.values[name] = str(item)
    return found


def _scaling(draft: Draft, value: Any, key: Key) -> dict[str, Any]:
    """Translate ``auto_scaler``. In the launcher, 0 turns an option off."""
    scaling, ours = draft.mapping(value, key), {}
    known = {"scale_down", "target_gpu_utilization_percentage", "target_throughput"}
    draft.only(key, scaling, known)
    for part, keys in (
        ("scale_down", {"no_traffic_timeout", "scale_from_zero"}),
        ("target_throughput", {"qpm", "paths", "methods"}),
    ):
        below = draft.mapping(scaling.get(part), (*key, part))
        draft.only((*key, part), below, keys)
        for name in ("scale_from_zero", "paths", "methods"):
            if below.get(name):
                draft.refuse((*key, part, name), "is not supported; remove it")
    for dotted, name in _SCALING.items():
        if wanted := _below(scaling, dotted):
            ours[name] = wanted
    return ours


def _cache(draft: Draft, value: Mapping[str, Any], key: Key) -> list[dict[str, Any]]:
    """Translate ``mounts: {enabled, cache_path, mount_path}``: a directory of the tasks' volume."""
    draft.only(key, value, {"enabled", "cache_path", "mount_path"})
    if not value.get("enabled"):
        return []
    place, target = value.get("cache_path"), value.get("mount_path")
    source = volume(draft)
    if not (says(place) and says(target)):
        draft.refuse(key, "requires cache_path and mount_path; add them")
    elif not source:
        draft.refuse(key, "names no volume; write a list of from, path and mount_path")
    else:
        return [{"from": source, "path": place, "mount_path": target}]
    return []


def _mounts(draft: Draft, value: Any, key: Key) -> Iterator[str]:
    """Yield each mount as the text that snakeval's options accept.

    ``{from: node-nfs:data, path: /sub, mount_path: /there}`` becomes ``node-nfs:data/sub=/there``.
    """
    for number, item in enumerate(draft.items(value, key)):
        mount = draft.mapping(item, (*key, str(number)))
        draft.only((*key, str(number)), mount, {"from", "path", "mount_path"})
        place = str(mount.get("path") or "").strip("/")
        source = "/".join(filter(None, [str(mount.get("from") or ""), place]))
        if not source or not says(mount.get("mount_path")):
            draft.refuse((*key, str(number)), "requires from, path and mount_path; add them")
        else:
            yield f"{source}={mount['mount_path']}"


def _below(data: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data
