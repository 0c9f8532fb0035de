"""Chooses the resource shape of a model's endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from snakemake_executor_plugin_lepton.shapes import is_offered

from snakeval.errors import EvaluationError


def choose(shapes: Sequence[Any], wanted: str | None, gpus: int, group: str | None) -> Any:
    """Return the shape of that name, or the smallest with so many GPUs (in the node group).

    Raises:
        EvaluationError: there is none.
    """
    if wanted:
        for shape in shapes:
            if name_of(shape) == wanted.lower():
                return shape
        raise EvaluationError(f"no resource shape {wanted}; there are {_listed(shapes)}")
    fitting = [shape for shape in shapes if fits(shape.spec, gpus, group)]
    if not fitting:
        raise EvaluationError(
            f"no resource shape has {gpus} GPUs; set deployment.lepton.resource_shape to one "
            f"of {_listed(shapes)}"
        )
    return min(fitting, key=lambda s: (s.spec.accelerator_num or 0, s.spec.cpu or 0))


def fits(spec: Any, gpus: int, group: str | None) -> bool:
    """Whether a shape has so many whole GPUs, and an endpoint may have it (in the node group)."""
    return is_offered(spec, "deploy", gpus, group)


def name_of(shape: Any) -> str:
    """Return a shape's name as the service has it: in lower case."""
    return str(shape.metadata.id_ or shape.spec.name).lower()


def shared_memory(shape: Any, wanted_mb: int | None) -> int | None:
    """Return the size of /dev/shm in MiB: as wanted, but never more than the shape's memory."""
    memory = getattr(shape.spec, "memory_in_mb", None)
    return min(wanted_mb, int(memory)) if wanted_mb and memory else wanted_mb or None


def _listed(shapes: Iterable[Any]) -> str:
    return ", ".join(sorted({name_of(shape) for shape in shapes})) or "none"
