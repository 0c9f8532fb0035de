"""``execution`` and the top-level ``env_vars``: where it runs, and what containers are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.errors import did_you_mean
from snakeval.launcher.draft import Draft, Variables, says
from snakeval.sources import Key


@dataclass
class Where:
    """What ``execution`` says.

    Attributes:
        profile: of Snakemake, named by ``execution.type``.
        options: for Snakemake's command line.
        readiness_timeout: of the model's server, with the key that says so.
        env, mounts: of the containers, ``evaluation`` and ``deployment``.
    """

    profile: str = ""
    options: list[str] = field(default_factory=list)
    readiness_timeout: tuple[Any, Key] | None = None
    env: dict[str, Variables] = field(
        default_factory=lambda: {"evaluation": Variables(), "deployment": Variables()}
    )
    mounts: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"evaluation": [], "deployment": []}
    )


#: Takes a value that says something into the draft or into where it runs; or why it is refused.
Handler = Callable[[Draft, Where, Any, Key], None] | str


def _output_dir(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if "output_dir" in draft.data:
        draft.refuse(key, "stands at the top, too, as output_dir; keep one")
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
    # The launcher mounts the home on Slurm only; where it would, the table refuses it.
    draft.only(key, groups, {*where.mounts, "auxiliary", "mount_home"})
    if says(groups.get("auxiliary")):
        draft.refuse((*key, "auxiliary"), "is not supported; give each model of `auxiliary` mounts")
    for name, mounts in where.mounts.items():
        for source, target in draft.mapping(groups.get(name), (*key, name)).items():
            path, _, mode = str(target).partition(":")
            mounts.append({"source": source, "target": path, "read_only": mode == "ro"})


def _slurm_mounts(draft: Draft, where: Where, value: Any, key: Key) -> None:
    if isinstance(value, Mapping) and value.get("mount_home"):
        draft.refuse((*key, "mount_home"), "no home is mounted here; mount what is needed, by name")
    _mounts(draft, where, value, key)


def _in_profile(setting: str) -> str:
    return f"is not supported yet; set it in the profile, as {setting}"


_NO_EXPORT = "is not supported yet; take it out, and write the results with `snakeval export`"
_COMMON: dict[str, Handler] = {
    "output_dir": _output_dir,
    "endpoint_readiness_timeout": _readiness,
    "env_vars": _env_vars,
    "mounts": _mounts,
    "auto_export": _NO_EXPORT,
}
_ONE_NODE = "is not supported; write deployment.nodes and deployment.instances"
_HERE = "is not supported; jobs are submitted from the machine that `snakeval` is started on"

#: What becomes of each key of ``execution``, by executor. A key that is not here is unknown.
EXECUTION: dict[str, dict[str, Handler]] = {
    "local": _COMMON
    | {
        "mode": _mode,
        "extra_docker_args": "is not supported; use mounts, `resources`, `network` or env_vars",
    },
    "slurm": _COMMON
    | {
        "mounts": _slurm_mounts,
        "hostname": _HERE,
        "username": _HERE,
        "account": _in_profile("slurm_account of default-resources"),
        "partition": _in_profile("slurm_partition of default-resources"),
        "cpu_partition": _in_profile("slurm_partition of default-resources"),
        "num_nodes": _ONE_NODE,
        "num_instances": _ONE_NODE,
        "ntasks_per_node": _in_profile("tasks of default-resources"),
        "gres": _in_profile("gres of default-resources"),
        "gpus_per_node": _in_profile("gpu of default-resources"),
        "walltime": _in_profile("runtime of default-resources, in minutes"),
        "max_walltime": _in_profile("runtime of default-resources, in minutes"),
        "subproject": _in_profile("slurm_extra of default-resources"),
        "sbatch_comment": _in_profile("slurm_extra of default-resources"),
        "sbatch_extra_flags": _in_profile("slurm_extra of default-resources"),
        "deployment": _ONE_NODE,
        "proxy": _ONE_NODE,
        "evaluation_gpu_visible": "is not supported yet; give `resources.gpus`",
    },
    "lepton": {
        "output_dir": _output_dir,
        "env_var_names": "is not supported yet; write evaluation.env_vars",
        "evaluation_tasks": _in_profile("a resource of the Lepton executor"),
        "lepton_platform": _in_profile("a resource of the Lepton executor"),
    },
}


def read(draft: Draft) -> Where:
    """Read ``execution`` and ``env_vars``; what is wrong is noted in *draft*."""
    where = Where()
    section = draft.section("execution")
    kind = section.pop("type", None) or "local"
    table = EXECUTION.get(kind) if isinstance(kind, str) else None
    if table is None:
        hint = did_you_mean(str(kind), EXECUTION) or f"; known are {', '.join(EXECUTION)}"
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
