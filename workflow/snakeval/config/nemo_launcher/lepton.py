"""Reads the launcher's keys for Lepton in ``execution`` and in ``deployment.lepton_config``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, says
from snakeval.config.source import Key

#: Keys of ``lepton_config`` that mean the same in ``deployment.lepton``.
_SAME = ("resource_shape", "min_replicas", "max_replicas", "image_pull_secrets")
#: Dotted keys of ``lepton_config.auto_scaler`` -> snakeval's keys.
_SCALING = {
    "scale_down.no_traffic_timeout": "no_traffic_timeout",
    "target_gpu_utilization_percentage": "target_gpu_utilization",
    "target_throughput.qpm": "target_qpm",
}


def task_options(draft: Draft, value: Any, key: Key) -> Iterator[str]:
    """Yield Snakemake's options for ``execution.evaluation_tasks``, and set its time limit."""
    tasks = draft.mapping(value, key)
    draft.only(key, tasks, {"resource_shape", "timeout", "use_shared_storage"})
    if says(tasks.get("resource_shape")):
        yield from ("--lepton-resource-shape", str(tasks["resource_shape"]))
    if says(tasks.get("timeout")):
        if not isinstance(tasks["timeout"], int):
            draft.refuse((*key, "timeout"), "must be a number of seconds")
        else:
            minutes = math.ceil(tasks["timeout"] / 60)
            draft.put(("resources", "runtime"), minutes, (*key, "timeout"))
    if tasks.get("use_shared_storage"):
        draft.refuse(
            (*key, "use_shared_storage"), "is not supported; set lepton-mount in the profile"
        )


def platform_options(draft: Draft, value: Any, key: Key) -> Iterator[str]:
    """Yield Snakemake's options for ``execution.lepton_platform.tasks``."""
    tasks = draft.mapping(value, key)
    draft.only(key, tasks, {"node_group", "env_vars", "mounts", "image_pull_secrets"})
    if says(tasks.get("node_group")):
        yield from ("--lepton-node-group", str(tasks["node_group"]))
    if secrets := draft.items(tasks.get("image_pull_secrets"), (*key, "image_pull_secrets")):
        yield from ("--lepton-image-pull-secrets", ",".join(map(str, secrets)))
    if mounts := list(_mounts(draft, tasks.get("mounts"), (*key, "mounts"))):
        yield from ("--lepton-mounts", ",".join(mounts))


def names_of_secrets(draft: Draft, value: Any, key: Key) -> dict[str, str]:
    """Return the variables in ``env_vars`` that hold the workspace's secrets: name -> secret."""
    found = {}
    for name, item in draft.mapping(value, key).items():
        secret = _below(item, "value_from.secret_name_ref")
        if isinstance(secret, str):
            found[name] = secret
        else:
            draft.refuse(
                (*key, name), "is a value; write value_from: {secret_name_ref: NAME}, or env_vars"
            )
    return found


def endpoint(draft: Draft, value: Any, key: Key) -> dict[str, tuple[Any, Key]]:
    """Translate ``lepton_config`` into ``deployment.lepton``."""
    given = draft.mapping(value, key)
    draft.only(key, given, {*_SAME, "auto_scaler", "mounts", "envs", "health", "api_tokens"})
    ours = {name: given[name] for name in _SAME if says(given.get(name))}
    scaling = draft.mapping(given.get("auto_scaler"), (*key, "auto_scaler"))
    for dotted, name in _SCALING.items():
        wanted = _below(scaling, dotted)
        if wanted:  # in the launcher, 0 turns the option off
            ours[name] = wanted
    if mounts := list(_mounts(draft, given.get("mounts"), (*key, "mounts"))):
        ours["mounts"] = mounts
    for name, instead in (
        ("envs", "write deployment.env_vars"),
        ("health", "write deployment.endpoints.health"),
        ("api_tokens", "remove it, since snakeval creates the endpoint's key"),
    ):
        if says(given.get(name)):
            draft.refuse((*key, name), f"is not supported; {instead}")
    return {"lepton": (ours, key)} if ours else {}


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
