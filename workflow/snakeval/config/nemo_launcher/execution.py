"""Reads ``execution`` and the top-level ``env_vars`` of a launcher's configuration.

They name the profile that runs the evaluations, and the variables and mounts of the containers.
"""

from __future__ import annotations

from typing import Any

from snakeval.config.execution import is_section
from snakeval.config.models import Deployment
from snakeval.config.nemo_launcher import docker_args, lepton, slurm
from snakeval.config.nemo_launcher.draft import Draft, Variables, says
from snakeval.config.nemo_launcher.where import Handler, Where
from snakeval.config.source import Key
from snakeval.errors import did_you_mean

#: The hub's cache of root, and where snakeval mounts it.
_ROOTS_CACHE, _CACHE = "/root/.cache/huggingface", "/mnt/huggingface"
_WHY = "can enter /root and containers run as you"


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
    # The launcher's variables for exports; snakeval exports with this machine's own variables.
    draft.only(key, groups, {*where.env, "export"})
    for name, variables in where.env.items():
        values = draft.mapping(groups.get(name), (*key, name))
        variables.update(draft.variables(values, (*key, name)))


def _mounts(draft: Draft, where: Where, value: Any, key: Key) -> None:
    groups = draft.mapping(value, key)
    # The launcher mounts the home on Slurm only.
    draft.only(key, groups, {*where.mounts, "auxiliary", "mount_home"})
    for name, mounts in where.mounts.items():
        mounts += _paths(draft, groups.get(name), (*key, name), where.env[name], (name,))
    key = (*key, "auxiliary")
    for name, paths in draft.mapping(groups.get("auxiliary"), key).items():
        variables = where.auxiliary_env.setdefault(name, Variables())
        where.auxiliary_mounts[name] = _paths(
            draft, paths, (*key, name), variables, ("auxiliary_deployments", name)
        )


def _paths(
    draft: Draft, value: Any, key: Key, variables: Variables, user: Key
) -> list[dict[str, Any]]:
    """Return ``{source: target, …}`` as mounts of the section *user*, which has *variables*.

    Snakeval's containers run as the user, and only root can enter /root.
    """
    mounts = []
    own = variables.has("HF_HOME") or "HF_HOME" in draft.section(*user, "env_vars")
    for source, target in draft.mapping(value, key).items():
        path, _, mode = str(target).partition(":")
        if path.rstrip("/") == _ROOTS_CACHE and not own:
            draft.note(
                (*key, source), f"is mounted at {_CACHE}, as $HF_HOME, since only root {_WHY}"
            )
            variables.update(Variables(values={"HF_HOME": _CACHE}))
            path = _CACHE
        elif path.startswith("/root/"):
            draft.note((*key, source), f"write another target than {path}; only root {_WHY}")
        mounts.append({"source": source, "target": path, "read_only": mode == "ro"})
    return mounts


def _slurm_mounts(draft: Draft, where: Where, value: Any, key: Key) -> None:
    slurm.mounts_home(draft, where, value, key)
    _mounts(draft, where, value, key)


def _auto_export(draft: Draft, where: Where, value: Any, key: Key) -> None:
    where.auto_export = draft.mapping(value, key)


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


#: The launcher's default time for a server to become ready, by executor.
_READINESS = {"local": "600 s", "slurm": "the walltime", "lepton": "1200 s"}

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
        "extra_docker_args": docker_args.read,
    },
    "slurm": _COMMON | {"mounts": _slurm_mounts} | slurm.HANDLERS,
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
    for variables in where.env.values():
        variables.update(draft.variables(everywhere, ("env_vars",)))
    draft.only(("execution",), section, {*table, "type"})
    for name, value in section.items():
        handler = table.get(name)
        if handler is None or not says(value):
            continue
        if isinstance(handler, str):
            draft.refuse(("execution", name), handler)
        else:
            handler(draft, where, value, ("execution", name))
    if kind == "local" and not says(section.get("mode")):
        where.options += ["--cores", "1"]
        draft.note(
            ("execution", "mode"), "is sequential, the launcher's default; or write parallel"
        )
    served = (draft.section("deployment").get("type") or "none") != "none"
    if served and where.readiness_timeout is None:
        ours = Deployment.model_fields["readiness_timeout"].default
        draft.note(
            ("execution", "endpoint_readiness_timeout"),
            f"is {ours} s, and the launcher's default is {_READINESS[kind]}",
        )
    if kind == "slurm":
        slurm.note_defaults(draft, section, served=served)
        if not says(section.get("mounts")):
            slurm.mounts_home(draft, where, {}, ("execution", "mounts"))
    return where
