"""Renders ``run.sh`` and ``run_all.sh``: an evaluation by hand, without snakeval or Snakemake."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import jinja2

from snakeval import __version__
from snakeval.completion import EvaluationDirectory
from snakeval.container import ContainerSpec
from snakeval.evaluation import Evaluation
from snakeval.files import home
from snakeval.runtimes import Runtime


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snakeval"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    return environment


_TEMPLATES = _environment()


def run_script(
    evaluation: Evaluation, directory: EvaluationDirectory, spec: ContainerSpec, runtime: Runtime
) -> str:
    """Return the text of ``run.sh``. No secret's value is in it, only names of variables."""
    run = directory.path.parents[1].resolve()
    notes = [
        f"{evaluation.id}, made by snakeval {__version__}. Runs the harness by hand, without",
        f"snakeval: the artifacts come to {directory.artifacts.resolve()}.",
    ]
    for name in evaluation.transport.servers:
        notes.append(f"Needs {name} served: bash {run / name / 'deployment' / 'serve.sh'}")
    return _script(notes, [directory.artifacts.resolve()], spec, runtime)


def serve_script(name: str, port: int, spec: ContainerSpec, runtime: Runtime) -> str:
    """Return the text of ``serve.sh``, which serves a deployment on *port*."""
    notes = [
        f"{name}, made by snakeval {__version__}. Serves the model by hand on port {port}, where",
        "the run.sh of its evaluations expects it; Ctrl-C ends it.",
    ]
    return _script(notes, [], spec, runtime)


def _script(
    notes: Sequence[str], places: Sequence[Path], spec: ContainerSpec, runtime: Runtime
) -> str:
    return _TEMPLATES.get_template("run.sh.j2").render(
        notes=notes,
        places=[str(place) for place in [*places, home().resolve() / "cache"]],
        isolated=runtime.isolated,
        secrets=sorted(set(spec.secrets.values())),
        pairs=sorted(spec.secrets.items()),
        command=runtime.shell(spec),
    )


def run_all_script(run: Path, evaluations: Sequence[Evaluation]) -> str:
    """Return the text of ``run_all.sh``."""
    return _TEMPLATES.get_template("run_all.sh.j2").render(run=run.name, evaluations=evaluations)
