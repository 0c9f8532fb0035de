"""The GPU-hours of the servers with which a run served a model."""

from __future__ import annotations

from snakeval import executors
from snakeval.evaluation import timings
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory


def served(run: RunDirectory, model: str, *, done: bool) -> tuple[float | None, int | None]:
    """Return the GPU-hours of a model's servers, and how often one was started."""
    place = DeploymentDirectory.of(run, model)
    homes = [place, *place.instances()]
    loads = sum(len(home.server_logs()) for home in homes)
    if not loads and (done or _served_elsewhere(run)):
        return None, None  # another run's server or an external endpoint serves the model
    total = 0.0
    for home in homes:
        if not home.server_logs():
            continue
        uses = timings.read(home)
        if uses is None:
            return None, loads
        total += sum(each.gpus * each.seconds for each in uses)
    return total / 3600, loads


def _served_elsewhere(run: RunDirectory) -> bool:
    return any(executor.has_served(run) for executor in executors.of_run(run))
