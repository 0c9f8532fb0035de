"""Writes a first configuration from a few answers: an endpoint, a model and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import snakeval
from snakeval.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from snakeval.config.source import Source

Command = TypeVar("Command", bound=Callable[..., Any])

#: The types of endpoints.
TYPES = ("chat", "completions", "embedding", "vlm")


def task_option(*, required: bool = False) -> Callable[[Command], Command]:
    """Return what adds the option for the benchmarks to a click command, as ``benchmarks``."""
    return click.option(
        "-t",
        "--benchmark",
        "--task",
        "benchmarks",
        multiple=True,
        required=required,
        metavar="NAME",
        help="A task of `snakeval ls tasks`; repeat it for more.",
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers that determine a first configuration.

    Attributes:
        kind: the type of the endpoint, one of :data:`TYPES`.
        api_key_name: the variable that holds the endpoint's key, or nothing.
        benchmarks: tasks of the catalogue, as the user calls them; without any, the two quizzes of
            the demo, which are parts of snakeval and ask a chat endpoint.
        limit: how many samples of each benchmark; None is all.
    """

    url: str
    model_id: str
    benchmarks: tuple[str, ...]
    kind: str = "chat"
    api_key_name: str = ""
    limit: int | None = None

    def text(self, file: str, called: str = "") -> str:
        """Return the commented YAML for a *file* of that name, which `snakeval run` accepts.

        Errors call it *called*, if that is not empty.

        Raises:
            ConfigError: there is no such task, or a value is wrong.
        """
        written = _text(self, tasks(self.benchmarks, self.kind), Path(file))
        _check(written, called or file)
        return written


def tasks(names: Sequence[str], kind: str) -> dict[str, str]:
    """Return the benchmarks: the name as it was given, and the task in full."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--benchmark {name}: is given twice; name each once")
    return {name: _task(name, kind) for name in names}


def _task(name: str, kind: str) -> str:
    """Return the task of the catalogue that *name* means for a type of endpoint.

    Of several harnesses that have it, see :func:`snakeval.catalogue.preferred`.
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
    chosen = catalogue.preferred(fitting)
    if chosen is None:
        several = ", ".join(task.qualified for task in fitting)
        raise ConfigError(f"--benchmark {name}: several harnesses have it; write one of {several}")
    return chosen.qualified


def _text(answers: Answers, rows: dict[str, str], file: Path) -> str:
    from snakeval.config.nemo_launcher import fit

    limit = f"limit_samples: {answers.limit}" if answers.limit else "# limit_samples: 10"
    name = answers.api_key_name
    key = f"api_key_name: {name}" if name else "# api_key_name: MY_API_KEY"
    benchmarks = "".join(f"  {_yaml(fit(n))}:\n    task: {task}\n" for n, task in rows.items())
    runtime = "" if rows else "runtime: process               # no container engine is required\n"
    return f"""\
# This file says what snakeval measures. All keys: docs/configuration.md of snakeval.
#   snakeval run {file.name} --dry-run     what would run
#   snakeval run {file.name}               run it; the same again resumes
name: {_yaml(fit(file.stem))}
{runtime}params:
  # Parameters of every evaluation. The task sets the others.
  # Only the first samples, for a first look. A run with this limit is a separate run.
  {limit}
  # Requests at a time; auto adapts to the endpoint.
  parallelism: auto
# Each model is scored on each benchmark. Add more models and benchmarks here.
models:
  {_yaml(fit(answers.model_id))}:
    endpoint:
      url: {_yaml(answers.url)}
      model_id: {_yaml(answers.model_id)}
      type: {answers.kind}
      # The name of the variable that holds the key, never the key itself.
      {key}
# `snakeval ls tasks` lists them, `snakeval info TASK` explains one.
benchmarks:
{benchmarks or _quizzes()}"""


def _quizzes() -> str:
    """Return the benchmarks of the configuration that ``snakeval init DIRECTORY`` writes."""
    template = Path(snakeval.__file__).parent / "templates/project/evaluation.yaml"
    return template.read_text(encoding="utf-8").partition("\nbenchmarks:\n")[2]


def _yaml(value: str) -> str:
    """Write *value* in one line of YAML, in quotes where it needs them."""
    from snakeval.config.yaml_file import written

    text = written([value], default_flow_style=True, width=1 << 20)
    return text.strip()[1:-1]


def source_of(text: str, name: str) -> Source:
    """Return the configuration in *text*, which errors call *name*.

    Raises:
        ConfigError: it is no configuration.
    """
    import tempfile

    from snakeval.config.source import named

    with tempfile.TemporaryDirectory() as directory:
        draft = Path(directory) / "draft.yaml"
        draft.write_text(text, encoding="utf-8")
        return named(draft, name)


def _check(text: str, name: str) -> None:
    """Check the configuration in *text*, which errors call *name*.

    Raises:
        ConfigError: `snakeval run` would refuse it.
    """
    from snakeval.config.load import choose
    from snakeval.matrix.expand import expand

    expand(choose(source_of(text, name), {})[0])
