"""``snakeval ls``: what there is to evaluate, where, and what was evaluated."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from snakeval.cli import config_option
from snakeval.cli.output import add_global_options, json_option, show
from snakeval.errors import ConfigError, Problem, did_you_mean

_TYPES = ("chat", "completions", "embedding", "vlm")


class _Lists(click.Group):
    """Has ``ls runs`` in a separate module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["tasks", "models", "runs", "runtimes", "profiles"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "runs":
            runs: click.Command = importlib.import_module("snakeval.cli.ls.runs").command
            return add_global_options(runs)
        return super().get_command(ctx, cmd_name)


@click.group("ls", cls=_Lists)
def command() -> None:
    """List tasks, models, runs, runtimes and profiles.

    \b
    snakeval ls tasks gsm8k
    snakeval ls tasks 'mmlu*' --harness lm-eval --endpoint-type completions
    snakeval ls models --config evaluation.yaml
    snakeval ls runs --since 1d --json
    """


# --- tasks --------------------------------------------------------------------------------


@command.command("tasks")
@click.argument("pattern", default="")
@click.option("--harness", help="Those of one harness.")
@click.option("--endpoint-type", type=click.Choice(_TYPES), help="Those for such an endpoint.")
@json_option
def tasks(pattern: str, harness: str | None, endpoint_type: str | None, as_json: bool) -> None:
    """List the tasks of the catalogue: what a benchmark may name.

    PATTERN is a part of a task's name, or a shell pattern such as 'mmlu*'. Of a name that several
    harnesses share, the one with the harness in front is listed; `snakeval info TASK` shows more.
    """
    from snakeval import catalogue

    if harness:
        catalogue.find_harness(harness)
    everything = catalogue.tasks()
    shared = {name for name, n in Counter(task.name for task in everything).items() if n > 1}
    rows = [
        {
            "task": task.qualified if task.name in shared else task.name,
            "harness": task.harness,
            "endpoint types": task.endpoint_types,
            "params": task.params if as_json else None,
        }
        for task in everything
        if _fits(pattern, task.name, task.qualified)
        and harness in (None, task.harness)
        and endpoint_type in (None, *task.endpoint_types)
    ]
    hint = did_you_mean(pattern, {task.name for task in everything})
    show(
        rows,
        ("task", "harness", "endpoint types"),
        as_json=as_json,
        empty=f"no task fits{hint or '; `snakeval ls tasks` lists all'}",
    )


def _fits(pattern: str, *names: str) -> bool:
    pattern = pattern.casefold()
    if any(character in pattern for character in "*?["):
        return any(fnmatchcase(name.casefold(), pattern) for name in names)
    return any(pattern in name.casefold() for name in names)


# --- models -------------------------------------------------------------------------------


@command.command("models")
@config_option.config_option
@json_option
def models(file: Path | None, as_json: bool) -> None:
    """List the models of the configuration here, and of the runs of this machine."""
    from snakeval.config.yaml_file import read
    from snakeval.run import index

    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    if path := config_option.named(file):
        for name, known in config_option.read(path).models.items():
            _add(rows, name, known.model_dump(mode="json", exclude_none=True), str(path))
    for entry in index.entries():
        try:
            data = read(entry.run.config)
        except ConfigError:
            continue  # partly deleted, which `snakeval status` says
        for name, model in (data.get("models") or {}).items():
            _add(rows, name, model, entry.id)
    show(
        list(rows.values()),
        ("model", "type", "served", "in"),
        as_json=as_json,
        empty="no model is known; make a configuration with `snakeval init`",
    )


def _add(
    rows: dict[tuple[str, ...], dict[str, Any]], name: str, model: Mapping[str, Any], place: str
) -> None:
    served = model.get("endpoint") or model.get("deployment") or {}
    if "url" in served:
        how = f"{served.get('model_id')} at {served['url']}"
    else:
        weights = served.get("hf_model_handle") or served.get("checkpoint_path") or ""
        how = " ".join(["deployment,", str(served.get("kind")), weights]).rstrip()
    kind = str(served.get("type") or "chat")
    row = rows.setdefault((name, kind, how), {"model": name, "type": kind, "served": how, "in": []})
    if place not in row["in"]:
        row["in"].append(place)


# --- runtimes -----------------------------------------------------------------------------


@command.command("runtimes")
@json_option
def runtimes(as_json: bool) -> None:
    """List what can start a harness or a model's server, and what answers on this machine."""
    from snakeval.cli.doctor.probes import runtimes as known

    rows = [
        {
            "runtime": runtime.name,
            "answers": not runtime.problem,
            "version": runtime.version,
            "problem": str(Problem(runtime.problem, hint=runtime.hint)),
        }
        for runtime in known()
    ]
    show(rows, ("runtime", "answers", "version", "problem"), as_json=as_json)


# --- profiles -----------------------------------------------------------------------------


@command.command("profiles")
@json_option
def profiles(as_json: bool) -> None:
    """List the profiles of snakeval and of the user, and which of them `--profile NAME` takes."""
    rows: list[dict[str, object]] = []
    taken: set[str] = set()
    for whose, path in _profiles():
        rows.append(
            {
                "profile": path.name,
                "whose": whose,
                "--profile takes it": path.name not in taken,
                "path": _shown(path),
            }
        )
        taken.add(path.name)
    rows.sort(key=lambda row: str(row["profile"]))
    show(rows, ("profile", "whose", "--profile takes it", "path"), as_json=as_json)


def _profiles() -> Iterator[tuple[str, Path]]:
    """Every profile in the order in which a name finds them."""
    from snakeval.cli.launch.installation import is_profile, profiles, user_profiles

    own, shared = user_profiles()
    for whose, place in (
        ("here", Path.cwd()),
        ("yours", own),
        ("this machine's", shared),
        ("snakeval's", profiles()),
    ):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            # A configuration directory is no profile, though Snakemake would read it as one.
            if whose == "here" and not _has_profile_keys(path):
                continue
            if path.is_dir() and is_profile(path) and path.name != "default":
                linked = path.is_symlink() and path.resolve().parent == profiles().resolve()
                yield "snakeval's, linked" if linked else whose, path


def _has_profile_keys(path: Path) -> bool:
    return any((path / name).is_file() for name in ("profile.yaml", "config.v9+.yaml"))


def _shown(path: Path) -> str:
    return f"{path} -> {path.readlink()}" if path.is_symlink() else str(path)
