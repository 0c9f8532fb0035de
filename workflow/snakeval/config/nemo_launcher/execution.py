"""Reads ``execution`` and the top-level ``env_vars`` of a launcher's configuration.

They name the profile that runs the evaluations, and the variables and mounts of the containers.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.config.execution import is_section
from snakeval.config.nemo_launcher import lepton
from snakeval.config.nemo_launcher.draft import Draft, Variables, says
from snakeval.config.source import Key
from snakeval.errors import did_you_mean


@dataclass
class Where:
    """The settings that ``execution`` contains.

    Attributes:
        profile: the Snakemake profile that ``execution.type`` names.
        options: options for Snakemake's command line.
        readiness_timeout: how long a model's server may take to start, and the key that sets it.
        serving: more keys of snakeval's ``deployment``, each with its value and the key that sets
            it.
        lepton: more keys of ``deployment.lepton``.
        auto_export: where results go, see :mod:`snakeval.config.nemo_launcher.export`.
        env, mounts: variables and mounts of the containers of ``evaluation`` and ``deployment``.
    """

    profile: str = ""
    options: list[str] = field(default_factory=list)
    readiness_timeout: tuple[Any, Key] | None = None
    serving: dict[str, tuple[Any, Key]] = field(default_factory=dict)
    lepton: dict[str, Any] = field(default_factory=dict)
    auto_export: dict[str, Any] = field(default_factory=dict)
    env: dict[str, Variables] = field(
        default_factory=lambda: {"evaluation": Variables(), "deployment": Variables()}
    )
    mounts: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"evaluation": [], "deployment": []}
    )


#: Writes a value that is not empty into the draft or the settings; or the message of the error.
Handler = Callable[[Draft, Where, Any, Key], None] | str


def _output_dir(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if "output_dir" in draft.data:
        draft.refuse(key, "repeats the top-level output_dir; keep one of them")
    else:
        draft.put(("output_dir",), value, key)


def _mode(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if value == "sequential":
        where.options += ["--cores", "1"]
    elif value != "parallel":
        draft.refuse(key, f"must be sequential or parallel, not {value!r:.60}")


def _readiness(draft: Draft, where: Where, value: Any, key: Key) -> None:
    where.readiness_timeout = (value, key)


def _env_vars(draft: Draft, where: Where, value: Any, key: Key) -> None:
    groups = draft.mapping(value, key)
    draft.only(key, groups, where.env)
    for name, variables in where.env.items():
        values = draft.mapping(groups.get(name), (*key, name))
        served = name == "deployment"
        variables.update(draft.variables(values, (*key, name), literals=served))


def _mounts(draft: Draft, where: Where, value: Any, key: Key) -> None:
    groups = draft.mapping(value, key)
    # The launcher mounts the home on Slurm only, and _slurm_mounts reports that as an error.
    draft.only(key, groups, {*where.mounts, "auxiliary", "mount_home"})
    if says(groups.get("auxiliary")):
        draft.refuse(
            (*key, "auxiliary"), "is not supported; set `mounts` of each model of `auxiliary`"
        )
    for name, mounts in where.mounts.items():
        for source, target in draft.mapping(groups.get(name), (*key, name)).items():
            path, _, mode = str(target).partition(":")
            mounts.append({"source": source, "target": path, "read_only": mode == "ro"})


def _slurm_mounts(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if isinstance(value, Mapping) and value.get("mount_home"):
        draft.refuse(
            (*key, "mount_home"), "is not supported; mount the required directories by name"
        )
    _mounts(draft, where, value, key)


def _auto_export(draft: Draft, where: Where, value: Any, key: Key) -> None:
    where.auto_export = draft.mapping(value, key)


def _slurm(ours: str) -> Handler:
    """Return a handler that copies a value to one key of snakeval's ``execution.slurm``."""

    def take(draft: Draft, where: Where, value: Any, key: Key) -> None:
        draft.put(("execution", "slurm", ours), value, key)

    return take


def _nodes(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Divide the launcher's nodes of all instances into snakeval's nodes of each instance."""
    section = draft.section("execution")
    nodes, instances = section.get("num_nodes") or 1, section.get("num_instances") or 1
    if not (isinstance(nodes, int) and isinstance(instances, int)) or nodes % max(instances, 1):
        draft.refuse(
            key, f"{instances} instances cannot share {nodes} nodes equally; correct one number"
        )
        return
    where.serving = {"nodes": (nodes // instances, key), "instances": (instances, key)}


def _gpus_per_node(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if not draft.section("execution").get("gres"):
        draft.put(("execution", "slurm", "gres"), f"gpu:{value}", key)


def _flags(draft: Draft, where: Where, value: Any, key: Key) -> None:
    """Translate ``{constraint: a, contiguous: null}`` to ``--constraint=a --contiguous``."""
    flags = []
    for name, item in draft.mapping(value, key).items():
        if name == "constraint":
            draft.put(("execution", "slurm", name), item, key)
        elif item is not False:
            flags.append(f"--{name}" if item in (None, True) else f"--{name}={item}")
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
        draft.refuse(
            key, "is another machine, and snakeval submits jobs from this one; run it there"
        )


def _user(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if value not in (getpass.getuser(), "${oc.env:USER}"):
        draft.refuse(
            key, "is another user, and snakeval submits jobs as the current user; remove this key"
        )


def _lepton_names(draft: Draft, where: Where, value: Any, key: Key) -> None:
    for name in value if isinstance(value, list) else [value]:
        where.env["evaluation"].names[str(name)] = str(name)


def _lepton_tasks(draft: Draft, where: Where, value: Any, key: Key) -> None:
    where.options += lepton.task_options(draft, value, key)
    tasks = draft.mapping(value, key)
    if says(tasks.get("timeout")) and where.readiness_timeout is None:
        # In the launcher it limits the wait for the endpoint, and no task.
        where.readiness_timeout = (tasks["timeout"], (*key, "timeout"))


def _lepton_platform(draft: Draft, where: Where, value: Any, key: Key) -> None:
    platform = draft.mapping(value, key)
    draft.only(key, platform, {"tasks", "deployment"})
    tasks = draft.mapping(platform.get("tasks"), (*key, "tasks"))
    where.options += lepton.platform_options(draft, tasks, (*key, "tasks"))
    place = (*key, "tasks", "env_vars")
    where.env["evaluation"].names.update(
        lepton.names_of_secrets(draft, tasks.get("env_vars"), place)
    )
    for name in lepton.endpoint_tokens(draft, tasks.get("env_vars"), place):
        where.env["evaluation"].names.pop(name, None)
    served, place = platform.get("deployment"), (*key, "deployment")
    served = draft.mapping(served, place)
    draft.only(place, served, {"node_group", "endpoint_readiness_timeout", "platform_defaults"})
    if says(served.get("node_group")):
        where.lepton["node_group"] = served["node_group"]
    if says(served.get("endpoint_readiness_timeout")):
        key = (*place, "endpoint_readiness_timeout")
        where.readiness_timeout = (served["endpoint_readiness_timeout"], key)
    defaults = draft.mapping(served.get("platform_defaults"), (*place, "platform_defaults"))
    draft.only((*place, "platform_defaults"), defaults, {"image_pull_secrets"})
    if says(defaults.get("image_pull_secrets")):
        where.lepton["image_pull_secrets"] = defaults["image_pull_secrets"]


_COMMON: dict[str, Handler] = {
    "output_dir": _output_dir,
    "endpoint_readiness_timeout": _readiness,
    "env_vars": _env_vars,
    "mounts": _mounts,
    "auto_export": _auto_export,
}

#: The handler of each key of ``execution``, by executor. A key without a handler is unknown.
EXECUTION: dict[str, dict[str, Handler]] = {
    "local": _COMMON
    | {
        "mode": _mode,
        "extra_docker_args": "is not supported; use mounts, `resources`, `network` or env_vars",
    },
    "slurm": _COMMON
    | {
        "mounts": _slurm_mounts,
        "hostname": _host,
        "username": _user,
        "account": _slurm("account"),
        "partition": _slurm("partition"),
        "cpu_partition": _slurm("cpu_partition"),
        "num_nodes": _nodes,
        "num_instances": _nodes,
        "ntasks_per_node": _one("is not supported, since each job is one task; remove it"),
        "gres": _slurm("gres"),
        "gpus_per_node": _gpus_per_node,
        "walltime": _slurm("walltime"),
        "max_walltime": _slurm("max_total_walltime"),
        "subproject": "is not supported, since the run's name names its jobs; write sbatch_comment",
        "sbatch_comment": _slurm("comment"),
        "sbatch_extra_flags": _flags,
        "deployment": "is not supported, since a server runs one task on each node; remove it",
        "proxy": "is not supported, since snakeval starts its own HAProxy for several instances; "
        "remove it",
        "evaluation_gpu_visible": "is not supported; set `resources.gpus`",
    },
    "lepton": {
        "output_dir": _output_dir,
        "auto_export": _auto_export,
        "env_var_names": _lepton_names,
        "evaluation_tasks": _lepton_tasks,
        "lepton_platform": _lepton_platform,
    },
}


def read(draft: Draft) -> Where:
    """Read ``execution`` and ``env_vars``, and record errors in *draft*."""
    where = Where()
    section = {k: v for k, v in draft.section("execution").items() if not is_section(k)}
    kind = section.pop("type", None) or "local"
    table = EXECUTION.get(kind) if isinstance(kind, str) else None
    if table is None:
        hint = did_you_mean(str(kind), EXECUTION) or f"; choose one of {', '.join(EXECUTION)}"
        draft.refuse(("execution", "type"), f"no executor {kind!r:.60}{hint}")
        return where
    where.profile = kind
    everywhere = draft.section("env_vars")
    for name, variables in where.env.items():
        served = name == "deployment"
        variables.update(draft.variables(everywhere, ("env_vars",), literals=served))
    draft.only(("execution",), section, {*table, "type"})
    for name, value in section.items():
        handler = table.get(name)
        if handler is None or not says(value):
            continue
        if isinstance(handler, str):
            draft.refuse(("execution", name), handler)
        else:
            handler(draft, where, value, ("execution", name))
    return where
