"""``snakeval init``: write a commented configuration that runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from snakeval.errors import ConfigError, did_you_mean

_TYPES = ("chat", "completions", "embedding", "vlm")


@click.command("init", short_help="Write a commented configuration that runs")
@click.option("--endpoint", metavar="URL", help="The endpoint's base URL, such as http://…/v1.")
@click.option("--model-id", "--model", help="The name that the endpoint knows the model by.")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="Its route.  [default: chat]")
@click.option("--api-key-name", help="The variable that holds its key; never the key itself.")
@click.option("--benchmark", "benchmarks", multiple=True, help="A task of `snakeval ls tasks`.")
@click.option("--limit-samples", type=click.IntRange(min=1), help="Only the first so many samples.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(
    endpoint: str | None,
    model_id: str | None,
    kind: str | None,
    api_key_name: str | None,
    benchmarks: tuple[str, ...],
    limit_samples: int | None,
    output: Path,
    force: bool,
) -> None:
    """Write a commented configuration. In a terminal, snakeval asks for missing values.

    \b
    snakeval init
    snakeval init --endpoint http://localhost:8000/v1 --model-id my-model --benchmark gsm8k
    """
    if output.exists() and not force:
        raise ConfigError(f"{output}: is there already; name another with --output, or add --force")
    if _is_terminal():
        complete = bool(endpoint and model_id and benchmarks)
        endpoint = endpoint or click.prompt("Endpoint's URL (http://localhost:8000/v1)")
        model_id = model_id or click.prompt("Model, as the endpoint calls it")
        if kind is None and not complete:
            kind = click.prompt("Type of endpoint", type=click.Choice(_TYPES), default="chat")
        if api_key_name is None and not complete:
            question = "Variable that holds the API key (Enter: it needs none)"
            api_key_name = click.prompt(question, default="", show_default=False)
        benchmarks = benchmarks or _ask_benchmarks(kind or "chat")
    kind = kind or "chat"
    if not endpoint or not model_id or not benchmarks:
        _refuse_missing(endpoint=endpoint, model_id=model_id, benchmark=benchmarks)
    rows = _rows(benchmarks, kind)
    text = _text(
        str(endpoint), str(model_id), kind, api_key_name or "", rows, limit_samples, output
    )
    _check(text, output)
    from snakeval.files import write_atomically

    try:
        write_atomically(output, text)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written ({error.strerror})") from None
    name = shlex.quote(str(output))
    click.echo(f"{output} is written. Look at the plan, then run it:")
    if api_key_name:
        click.echo(f"  export {api_key_name}=…")
    click.echo(f"  snakeval run --config {name} --dry-run")
    click.echo(f"  snakeval run --config {name}")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _ask_benchmarks(kind: str) -> tuple[str, ...]:
    """Ask until each is a task that the endpoint can be asked."""

    def names(answer: str) -> tuple[str, ...]:
        given = tuple(name for name in answer.replace(",", " ").split() if name)
        try:
            _rows(given, kind)
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


def _rows(names: Sequence[str], kind: str) -> dict[str, str]:
    """Return the benchmarks: the name as it was given, and the task in full."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--benchmark {name}: is given twice; name each once")
    return {name: _task(name, kind) for name in names}


def _task(name: str, kind: str) -> str:
    """Return the task of the catalogue that *name* means for a type of endpoint.

    Of several harnesses that have it, upstream's own: it needs no vendor's image.
    """
    from snakeval import catalogue

    known = [task for task in catalogue.tasks() if name in (task.name, task.qualified)]
    fitting = [task for task in known if kind in task.endpoint_types]
    if not known:
        names = [each for task in catalogue.tasks() for each in (task.name, task.qualified)]
        hint = did_you_mean(name, dict.fromkeys(names))
        raise ConfigError(
            f"--benchmark {name}: no such task{hint or '; `snakeval ls tasks` lists them'}"
        )
    if not fitting:
        types = sorted({each for task in known for each in task.endpoint_types})
        raise ConfigError(
            f"--benchmark {name}: asks a {' or '.join(types)} endpoint, and the model has --type "
            f"{kind}; correct one"
        )
    upstream = [task for task in fitting if task.harness == "lm-eval"]
    if len(fitting) > 1 and not upstream:
        several = ", ".join(task.qualified for task in fitting)
        raise ConfigError(f"--benchmark {name}: several harnesses have it; write one of {several}")
    return (upstream or fitting)[0].qualified


def _text(
    endpoint: str,
    model_id: str,
    kind: str,
    api_key_name: str,
    rows: dict[str, str],
    limit_samples: int | None,
    output: Path,
) -> str:
    from snakeval.config.nemo_launcher import fit

    limit = f"limit_samples: {limit_samples}" if limit_samples else "# limit_samples: 10"
    key = f"api_key_name: {api_key_name}" if api_key_name else "# api_key_name: MY_API_KEY"
    benchmarks = "\n".join(f"  {_yaml(fit(n))}:\n    task: {task}" for n, task in rows.items())
    return f"""\
# This file says what snakeval measures. All keys: docs/configuration.md of snakeval.
#   snakeval run --config {output.name} --dry-run     what would run
#   snakeval run --config {output.name}               run it; the same again resumes
name: {_yaml(fit(output.stem))}
params:
  # Parameters of every evaluation. The task sets the others.
  # Only the first samples, for a first look. A run with this limit is a separate run.
  {limit}
  # Requests at a time; auto adapts to the endpoint.
  parallelism: auto
# Each model is scored on each benchmark. Add more models and benchmarks here.
models:
  {_yaml(fit(model_id))}:
    endpoint:
      url: {_yaml(endpoint)}
      model_id: {_yaml(model_id)}
      type: {kind}
      # The name of the variable that holds the key, never the key itself.
      {key}
# `snakeval ls tasks` lists them, `snakeval info TASK` explains one.
benchmarks:
{benchmarks}
"""


def _yaml(value: str) -> str:
    """Write *value* in one line of YAML, in quotes where it needs them."""
    from snakeval.config.yaml_file import written

    text = written([value], default_flow_style=True, width=1 << 20)
    return text.strip()[1:-1]


def _check(text: str, output: Path) -> None:
    """Refuse what `snakeval run` would refuse."""
    import tempfile

    from snakeval.config.load import choose
    from snakeval.config.source import named
    from snakeval.matrix.expand import expand

    with tempfile.TemporaryDirectory() as directory:
        draft = Path(directory) / output.name
        draft.write_text(text, encoding="utf-8")
        expand(choose(named(draft, str(output)), {})[0])
