"""``snakeval init``: write a commented configuration that runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from snakeval.cli import project
from snakeval.cli.first_config import TYPES, Answers, task_option, tasks
from snakeval.cli.output import emit_or_say, json_switch, wants_json
from snakeval.errors import ConfigError


@click.command("init", short_help="Write a commented configuration that runs")
# --endpoint, --model and --limit-samples are the former names, until the next release.
@click.option(
    "--base-url",
    "--endpoint",
    "base_url",
    metavar="URL",
    help="The endpoint's base URL, such as http://…/v1.",
)
@click.option(
    "--model-id", "--model", "model_id", help="The name that the endpoint knows the model by."
)
@click.option("--type", "kind", type=click.Choice(TYPES), help="Its route.  [default: chat]")
@click.option("--api-key-name", help="The variable that holds its key; never the key itself.")
@task_option()
@click.option(
    "--limit",
    "--limit-samples",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the first N samples.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_switch
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
def command(
    base_url: str | None,
    model_id: str | None,
    kind: str | None,
    api_key_name: str | None,
    benchmarks: tuple[str, ...],
    limit: int | None,
    output: Path,
    force: bool,
    directory: Path | None,
) -> None:
    """Write a commented configuration. In a terminal, snakeval asks for missing values.

    With DIRECTORY, also write a Snakefile and Snakemake's settings, so that plain `snakemake` works
    there. Without --benchmark, its configuration has two small quizzes; without --base-url also, it
    serves two models of the demo, and runs unchanged.

    \b
    snakeval init
    snakeval init --base-url http://localhost:8000/v1 --model-id my-model --benchmark gsm8k
    snakeval init first && cd first && snakemake -n
    snakeval init mine --base-url http://localhost:8000/v1 --model-id my-model && cd mine
    """
    if directory is not None and not (base_url or model_id or benchmarks):
        project.write(directory, None, force=force)
        return
    if directory is None and output.exists() and not force:
        raise ConfigError(f"{output}: is there already; name another with --output, or add --force")
    has_quizzes = directory is not None and not benchmarks and kind in (None, "chat")
    if _is_terminal():
        complete = bool(base_url and model_id and (benchmarks or has_quizzes))
        base_url = base_url or click.prompt("Endpoint's URL (http://localhost:8000/v1)")
        model_id = model_id or click.prompt("Model, as the endpoint calls it")
        if kind is None and not complete:
            kind = click.prompt("Type of endpoint", type=click.Choice(TYPES), default="chat")
        if api_key_name is None and not complete:
            question = "Variable that holds the API key (Enter: it needs none)"
            api_key_name = click.prompt(question, default="", show_default=False)
        has_quizzes = has_quizzes and kind in (None, "chat")
        if not (benchmarks or has_quizzes):
            benchmarks = _ask_benchmarks(kind or "chat")
    _refuse_missing(base_url=base_url, model_id=model_id, benchmark=benchmarks or has_quizzes)
    texts = (str(base_url), str(model_id), benchmarks, kind or "chat", api_key_name or "")
    answers = Answers(*texts, limit)
    if directory is not None:
        project.write(directory, answers, force=force)
        return
    text = answers.text(str(output))
    from snakeval.files import write_atomically

    try:
        write_atomically(output, text)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written ({error.strerror})") from None
    _report(output, api_key_name)


def _report(output: Path, api_key_name: str | None) -> None:
    name = shlex.quote(str(output))
    lines = [
        *([f"export {api_key_name}=…"] if api_key_name else []),
        f"snakeval run {name} --dry-run",
        f"snakeval run {name}",
    ]
    said = "\n  ".join([f"{output} is written. Look at the plan, then run it:", *lines])
    emit_or_say({"files": [str(output)], "next": lines}, said)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and not wants_json()


def _ask_benchmarks(kind: str) -> tuple[str, ...]:
    """Ask until each is a task that the endpoint can be asked."""

    def names(answer: str) -> tuple[str, ...]:
        given = tuple(name for name in answer.replace(",", " ").split() if name)
        try:
            tasks(given, kind)
        except ConfigError as error:
            raise click.UsageError(str(error)) from None
        return given

    question = "Benchmarks, of `snakeval ls tasks` (gsm8k, ifeval)"
    asked: tuple[str, ...] = click.prompt(question, value_proc=names)
    return asked


def _refuse_missing(**given: object) -> None:
    missing = [f"--{name.replace('_', '-')}" for name, value in given.items() if not value]
    if missing:
        raise ConfigError(f"{', '.join(missing)}: not given; this is no terminal to ask in")
