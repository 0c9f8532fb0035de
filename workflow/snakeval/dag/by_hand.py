"""Renders ``run.sh``, ``run_all.sh`` and ``sbatch_*.sh``, with which people run by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval import __version__
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import home
from snakeval.harnesses.generic import asks_nothing
from snakeval.matrix.slurm_requests import flags
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Runtime
from snakeval.runtimes.passed_on import is_optional
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving.directory import DeploymentDirectory
from snakeval.shell import template


def run_script(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    spec: ContainerSpec,
    runtime: Runtime,
    served: Mapping[str, str] | None = None,
) -> str:
    """Return the text of ``run.sh``. It contains names of secrets, never values.

    *served* has the URLs of the models that a person serves.
    """
    run = RunDirectory.of(directory)
    notes = [
        f"{evaluation.id}, by snakeval {__version__}. Runs the harness without a run of snakeval,",
        f"and leaves the artifacts in {directory.by_hand.resolve()}.",
    ]
    for name in evaluation.transport.servers:
        notes.append(f"Requires {name}: bash {DeploymentDirectory.of(run, name).script.resolve()}")
    return _script(
        notes, [directory.by_hand.resolve()], spec, runtime, _gateway(evaluation, served or {})
    )


def _gateway(evaluation: Evaluation, served: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what ``run.sh`` needs to start the gateway; None if the harness asks directly."""
    if evaluation.transport.ledger == "off" or asks_nothing(evaluation):
        return None
    mine = [(name, served[name]) for name in evaluation.transport.servers if name in served]
    return {"python": sys.executable, "served": mine}


def serve_script(name: str, port: int, spec: ContainerSpec, runtime: Runtime) -> str:
    """Return the text of ``serve.sh``, which serves a deployment on *port*."""
    notes = [
        f"{name}, by snakeval {__version__}. Serves the model on port {port}, where the run.sh of",
        "its evaluations expects it. Ctrl-C stops it.",
    ]
    return _script(notes, [], spec, runtime)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that ``sbatch_*.sh`` starts with its ``serve.sh``, within ``seconds``."""

    name: str
    port: int
    health: str
    models: str
    seconds: int


def sbatch_script(
    run: RunDirectory,
    model: str,
    evaluations: Sequence[Evaluation],
    servers: Sequence[Served],
    asked: Mapping[str, str | int],
    slots: int,
) -> str:
    """Return the text of ``sbatch_<model>.sh``.

    With *servers*, the script is one job that serves and evaluates, *slots* evaluations at a time.
    Without *servers*, it is an array with a task for each evaluation. *asked* are long options of
    sbatch with their values; a flag has an empty value.
    """
    run = run.absolute()
    log = "%x-%j.log" if servers else "%x-%A_%a.log"
    options: dict[str, str | int] = {
        "job-name": f"snakeval-{model}",
        "output": run.batch_log(log),
        **({} if servers else {"array": f"0-{len(evaluations) - 1}"}),
        **asked,
    }
    return template("sbatch.sh.j2").render(
        run=str(run),
        name=run.name,
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
    notes: Sequence[str],
    places: Sequence[Path],
    spec: ContainerSpec,
    runtime: Runtime,
    gateway: Mapping[str, Any] | None = None,
) -> str:
    return template("run.sh.j2").render(
        notes=notes,
        places=[str(place) for place in [*places, home().resolve() / "cache"]],
        isolated=runtime.isolated,
        secrets=sorted(set(spec.secrets.values())),
        required=sorted(here for here in set(spec.secrets.values()) if not is_optional(here)),
        pairs=sorted(spec.secrets.items()),
        command=runtime.shell(spec),
        gateway=gateway,
    )


def run_all_script(run: RunDirectory, evaluations: Sequence[Evaluation]) -> str:
    """Return the text of ``run_all.sh``."""
    return template("run_all.sh.j2").render(run=run.name, evaluations=evaluations)
