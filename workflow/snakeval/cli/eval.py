"""``snakeval eval``: one score of an endpoint, without a configuration file."""

from __future__ import annotations

import sys

import click

from snakeval.cli import api
from snakeval.cli.budget_option import budget_option, budget_pair
from snakeval.cli.env_file import env_file_option
from snakeval.cli.first_config import TYPES, Answers, source_of, task_option
from snakeval.cli.output import json_switch, note, wants_json
from snakeval.cli.override_option import override_option
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_names
from snakeval.cli.selection import Choice
from snakeval.cli.strict_option import strict_option


@click.command("eval", short_help="Score an endpoint on benchmarks without a configuration file")
@click.option("--base-url", metavar="URL", required=True, help="The endpoint, as http://…/v1.")
@click.option("--model-id", required=True, help="The name that the endpoint knows the model by.")
@click.option("--type", "kind", type=click.Choice(TYPES), default="chat", show_default=True)
@click.option("--api-key-name", default="", help="The variable that holds its key; never the key.")
@task_option(required=True)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples.")
@click.option("--profile", shell_complete=profile_names, default="local", show_default=True)
@click.option("-n", "--dry-run", is_flag=True, help="Print the configuration and the plan.")
@override_option("Change or add a value of the configuration, as in `snakeval run`.")
@budget_option
@strict_option
@preflight_option
@env_file_option
@json_switch
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def command(
    base_url: str,
    model_id: str,
    kind: str,
    api_key_name: str,
    benchmarks: tuple[str, ...],
    limit: int | None,
    profile: str,
    dry_run: bool,
    overrides: tuple[str, ...],
    budget: tuple[str, ...],
    options: tuple[str, ...],
) -> int:
    """Score an endpoint. The same command again resumes, and costs nothing for what is done.

    It prints the configuration that does the same with `snakeval run`, for a file of your own.

    \b
    snakeval eval --base-url http://localhost:8000/v1 --model-id my-model -t gsm8k --limit 10
    snakeval eval … -t gsm8k -o params.temperature=0 --budget tokens=1e6 --strict
    """
    from snakeval.cli.launch import launch
    from snakeval.cli.launch.mode import Place
    from snakeval.config.compose import text as text_of
    from snakeval.config.overrides import apply, parse

    answers = Answers(base_url, model_id, benchmarks, kind, api_key_name, limit)
    text = answers.text("evaluation.yaml", "these options")
    source = source_of(text, "these options")
    apply([parse(each) for each in overrides], source)
    prepared, written = api.prepare(
        source,
        None,
        Choice(),
        profile=profile,
        options=api.with_choices(options, Choice(), budget_pair(budget)),
        dry_run=dry_run,
    )
    # The text of a file has comments, and no override or budget.
    text = text_of(written) if overrides or budget else text
    if dry_run:
        click.echo(text, err=wants_json())
    else:
        note(text)
    sys.stdout.flush()
    return launch(prepared, Place.HERE)
