"""``snakeval info``: what a task of the catalogue is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click

from snakeval import catalogue
from snakeval.catalogue import gated
from snakeval.cli.output import json_option

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def _complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    return [task.qualified for task in catalogue.tasks() if task.qualified.startswith(typed)]


@click.command("info", short_help="Show a task's parameters, endpoint types and image")
@click.argument("task", shell_complete=_complete)
@json_option
def command(task: str, as_json: bool) -> None:
    """Show a task's harness and image, endpoint types, default parameters and variables.

    \b
    snakeval info gsm8k_cot_llama
    snakeval info lm-eval.gsm8k
    """
    named = [each for each in catalogue.tasks() if task in (each.name, each.qualified)]
    found = catalogue.preferred(named) or catalogue.find_task(task)
    if others := [each.qualified for each in named if each is not found]:
        click.echo(f"note: {task} is {found.qualified} here; also: {', '.join(others)}", err=True)
    harness = catalogue.find_harness(found.harness)
    facts: dict[str, Any] = {
        "task": found.qualified,
        "harness": found.harness,
        "harness name": harness.full_name,
        "source": harness.source_url,
        "image": harness.image,
        "image digest": harness.image_digest,
        "without a container": harness.requirements_file is not None,
        "endpoint types": found.endpoint_types,
        "variables": {**dict(_variables(found.params)), **_of_data(found.name)},
        "params": found.params,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        if name == "params" or (name == "image digest" and not value):
            continue
        click.echo(f"{name:<19}  {_text(value)}")
    click.echo("params")
    click.echo(_yaml(found.params))
    click.echo("As a benchmark of a configuration:\n")
    click.echo(f"benchmarks:\n  {found.name}: {{task: {found.qualified}}}")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} ({where})" for name, where in value.items()) or "none known"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value) or "none"


def _of_data(task: str) -> dict[str, str]:
    """Return the variable that a gated data set requires, and why."""
    name = gated.data_set(task)
    return {gated.VARIABLE: f"gated data set {name}"} if name else {}


def _yaml(params: dict[str, Any]) -> str:
    from snakeval.config.yaml_file import written

    if not params:
        return "  the harness's own\n"
    text = written(params)
    return "".join(f"  {line}\n" for line in text.splitlines())


def _variables(params: dict[str, Any], above: str = "params") -> Iterator[tuple[str, str]]:
    """Yield names of variables that parameters name as keys, and where."""
    for key, value in params.items():
        where = f"{above}.{key}"
        if isinstance(value, dict):
            yield from _variables(value, where)
        elif "api_key" in key and isinstance(value, str) and _VARIABLE.fullmatch(value):
            yield value, where
