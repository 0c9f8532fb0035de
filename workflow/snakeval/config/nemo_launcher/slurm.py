"""Reads the launcher's keys of ``execution`` for Slurm."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakeval.config.nemo_launcher.draft import Draft, says
from snakeval.config.nemo_launcher.where import Handler, Where
from snakeval.config.source import Key

#: The launcher's defaults that snakeval leaves to the profile, the cluster and the model.
_DEFAULTS = {
    "partition": "batch",
    "walltime": "01:00:00 for each task",
    "max_walltime": "120:00:00",
    "gres": "gpu:8",
    "sbatch_extra_flags": "exclusive nodes",
}
_OWN_PROXY = "snakeval starts its own HAProxy for several instances"
#: Flags of sbatch that have their own key in snakeval's ``execution.slurm``.
_FLAGS = {
    "constraint": "constraint",
    "cpus-per-task": "cpus_per_task",
    "exclusive": "exclusive",
    "qos": "qos",
}


def mounts_home(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Mount the home into all containers if ``mounts.mount_home`` is true."""
    home = value.get("mount_home") if isinstance(value, Mapping) else None
    if home is True:
        same = {"source": "~", "target": str(Path.home()), "read_only": False}
        for mounts in where.mounts.values():
            mounts.append(same)
    elif home is None:
        draft.note(
            (*key, "mount_home"),
            "the launcher mounts the home by default, snakeval does not; write mount_home: true",
        )


def note_defaults(draft: Draft, section: Mapping[str, Any], *, served: bool) -> None:
    """Report the launcher's defaults that do not apply; *served* models are deployments."""
    missing = {name: text for name, text in _DEFAULTS.items() if not says(section.get(name))}
    if section.get("gpus_per_node"):
        missing.pop("gres", None)
    if missing:
        theirs = ", ".join(f"{name} ({text})" for name, text in missing.items())
        draft.note(
            ("execution",),
            f"the profile and the model's GPUs replace the launcher's defaults of {theirs}",
        )
    tasks = draft.section("evaluation").get("tasks")
    if says(section.get("walltime")) and isinstance(tasks, list) and len(tasks) > 1 and served:
        draft.note(
            ("execution", "walltime"),
            "limits a job, and a job evaluates all tasks of a served model; the launcher's has one",
        )
    if section.get("num_instances") not in (None, 1) and not says(section.get("proxy")):
        draft.note(("execution", "proxy"), _OWN_PROXY)


def _slurm(ours: str) -> Handler:
    """Return a handler that copies a value to one key of snakeval's ``execution.slurm``."""

    def take(draft: Draft, where: Where, value: Any, key: Key) -> None:
        draft.put(("execution", "slurm", ours), value, key)

    return take


def _nodes(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Divide the launcher's nodes of all instances into snakeval's nodes of each instance."""
    section = draft.section("execution")
    instances = section.get("num_instances") or 1
    each = section.get("num_nodes_per_instance")
    nodes = section.get("num_nodes") or 1
    if not says(section.get("num_nodes")) and isinstance(each, int) and isinstance(instances, int):
        nodes = each * instances
    if not (isinstance(nodes, int) and isinstance(instances, int)) or nodes % max(instances, 1):
        draft.refuse(
            key, f"{instances} instances cannot share {nodes} nodes equally; correct one number"
        )
        return
    where.serving = {"nodes": (nodes // instances, key), "instances": (instances, key)}


def _server_tasks(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Accept one task on each node, which is how snakeval starts a server."""
    section = draft.mapping(value, key)
    draft.only(key, section, {"n_tasks"})
    tasks, nodes = section.get("n_tasks"), draft.section("execution").get("num_nodes") or 1
    if says(tasks) and str(tasks) != str(nodes):
        draft.refuse((*key, "n_tasks"), f"a server runs one task on each node; write {nodes}")


def _gpus_per_node(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if not draft.section("execution").get("gres"):
        draft.put(("execution", "slurm", "gres"), f"gpu:{value}", key)


def _flags(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Translate ``{constraint: a, contiguous: true}``; the launcher omits false and null."""
    flags = []
    for name, item in draft.mapping(value, key).items():
        if item is None or item is False:
            continue
        if name in _FLAGS:
            draft.put(("execution", "slurm", _FLAGS[name]), item, (*key, name))
        else:
            flags.append(f"--{name}" if item is True else f"--{name}={item}")
    if flags:
        draft.put(("execution", "slurm", "extra_flags"), " ".join(flags), key)


def _one(why: str) -> Handler:
    """Return a handler that accepts the value 1, the only one supported, and reports others."""

    def take(draft: Draft, where: Where, value: Any, key: Key) -> None:
        if value != 1:
            draft.refuse(key, why)

    return take


def _host(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if value not in ("localhost", socket.gethostname(), socket.getfqdn()):
        draft.note(key, f"snakeval submits from this machine; for another one, run it on {value}")


def _user(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if value not in (getpass.getuser(), "${oc.env:USER}"):
        draft.note(key, f"snakeval submits as the current user, not as {value}")


def _subproject(draft: Draft, where: Where, value: Any, key: Key) -> None:
    draft.note(key, "snakeval names jobs by the run and the model; write sbatch_comment")


def _proxy(draft: Draft, where: Where, value: Any, key: Key) -> None:
    kind = value.get("type", "haproxy") if isinstance(value, Mapping) else value
    if kind != "haproxy":
        draft.refuse((*key, "type"), "several instances share HAProxy; write haproxy")
    else:
        draft.note(key, _OWN_PROXY)


def _visible(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if value is not False:
        draft.refuse(
            key, "is not supported; write `resources: {gpus: 1}` of each benchmark with GPUs"
        )


HANDLERS: dict[str, Handler] = {
    "hostname": _host,
    "username": _user,
    "account": _slurm("account"),
    "partition": _slurm("partition"),
    "cpu_partition": _slurm("cpu_partition"),
    "num_nodes": _nodes,
    "num_instances": _nodes,
    "num_nodes_per_instance": _nodes,
    "ntasks_per_node": _one("is not supported, since each job is one task; write 1"),
    "gres": _slurm("gres"),
    "gpus_per_node": _gpus_per_node,
    "walltime": _slurm("walltime"),
    "max_walltime": _slurm("max_total_walltime"),
    "subproject": _subproject,
    "sbatch_comment": _slurm("comment"),
    "sbatch_extra_flags": _flags,
    "deployment": _server_tasks,
    "proxy": _proxy,
    "evaluation_gpu_visible": _visible,
}
