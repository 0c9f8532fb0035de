"""The jobs that a run will submit, with what each requests: the plan of ``-n``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.hosting import host


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job of a scheduler that is not submitted yet.

    Attributes:
        name: of its group, or of its only evaluation.
        members: the benchmarks that it evaluates; of a job of one evaluation, nothing.
        resources: resources of Snakemake, without those that nothing sets.
        loading: the model that it loads, if any.
    """

    name: str
    members: tuple[str, ...] = ()
    resources: Mapping[str, str | int] = field(default_factory=dict)
    loading: str = ""


def planned(
    allocations: Allocations,
    selected: Mapping[tuple[str, str], Evaluation],
    defaults: Mapping[str, str | int],
    missing: Callable[[Evaluation], bool],
) -> list[PlannedJob]:
    """Return the jobs of the *selected* evaluations that are *missing*.

    *defaults* are the profile's default-resources.
    """
    jobs: list[PlannedJob] = []
    hosted: dict[tuple[str, int], list[str]] = {}
    for evaluation in filter(missing, selected.values()):
        if name := host(evaluation):
            number = allocations.servers(evaluation)[0][1]
            name = allocations.lead(name)
            own = evaluation.id.removeprefix(f"{name}/")
            hosted.setdefault((name, number), []).append(own)
            continue
        asked = {
            resource: evaluation.transport.resources.get(option)
            or allocations.asked(evaluation, resource)
            for option, resource in (("gpus", "gpu"), ("mem_mb", "mem_mb"), ("runtime", "runtime"))
        }
        site = allocations.requests.site_of_evaluation(evaluation)
        jobs.append(PlannedJob(evaluation.id, (), _set(defaults, site, asked)))
    for (name, number), members in hosted.items():
        asked = {
            "gpu": allocations.gpus(name, number),
            "mem_mb": allocations.mem_mb(name, number),
            "runtime": allocations.runtime(name),
        }
        cpus = {"cpus_per_task": min(allocations.slots, len(members))}
        site = allocations.requests.site_of_model(name)
        found = _set(defaults, cpus, site, asked)
        jobs.append(PlannedJob(allocations.group_of(name, number), tuple(members), found, name))
    return jobs


def _set(*layers: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """Merge *layers*; the last one that sets a resource wins."""
    return {name: value for layer in layers for name, value in layer.items() if value}
