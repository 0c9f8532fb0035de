"""Renders ``run.sh``, ``run_all.sh`` and ``sbatch_*.sh``: the same by hand, without snakeval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval import __version__
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import home
from snakeval.matrix.slurm_requests import flags
from snakeval.runtimes import Runtime
from snakeval.runtimes.spec import ContainerSpec
from snakeval.shell import template


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


@dataclass(frozen=True, slots=True)
class Served:
    """A server that ``sbatch_*.sh`` starts by its ``serve.sh``; ``seconds`` it may take."""

    name: str
    port: int
    health: str
    models: str
    seconds: int


def sbatch_script(
    run: Path,
    model: str,
    evaluations: Sequence[Evaluation],
    servers: Sequence[Served],
    asked: Mapping[str, str | int],
    slots: int,
) -> str:
    """Return the text of ``sbatch_<model>.sh``.

    It is one job that serves and evaluates, *slots* evaluations at a time; without *servers* an
    array of a task for each evaluation. *asked* are long options of sbatch with their values, an
    empty one for a flag.
    """
    run = run.resolve()
    log = "%x-%j.log" if servers else "%x-%A_%a.log"
    options: dict[str, str | int] = {
        "job-name": f"snakeval-{model}",
        "output": f"{str(run / '.snakeval').replace('%', '%%')}/{log}",
        **({} if servers else {"array": f"0-{len(evaluations) - 1}"}),
        **asked,
    }
    return template("sbatch.sh.j2").render(
        run=run,
        model=model,
        version=__version__,
        evaluations=evaluations,
        servers=servers,
        slots=slots,
        secrets=sorted({name for e in evaluations for name in _secrets(e)}),
        flags=flags(options),
    )


def _secrets(evaluation: Evaluation) -> list[str]:
    transport = evaluation.transport
    keys = [transport.api_key_name, *transport.env.values(), *transport.auxiliary_keys.values()]
    return [key for key in keys if key]


def _script(
    notes: Sequence[str], places: Sequence[Path], spec: ContainerSpec, runtime: Runtime
) -> str:
    return template("run.sh.j2").render(
        notes=notes,
        places=[str(place) for place in [*places, home().resolve() / "cache"]],
        isolated=runtime.isolated,
        secrets=sorted(set(spec.secrets.values())),
        pairs=sorted(spec.secrets.items()),
        command=runtime.shell(spec),
    )


def run_all_script(run: Path, evaluations: Sequence[Evaluation]) -> str:
    """Return the text of ``run_all.sh``."""
    return template("run_all.sh.j2").render(run=run.name, evaluations=evaluations)
