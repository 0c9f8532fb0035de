"""Returns the states of a run's evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from snakeval import executors
from snakeval.executors.base import Jobs
from snakeval.run.directory import RunDirectory
from snakeval.watch.inspection import Inspection
from snakeval.watch.state import State


def states(
    run: RunDirectory,
    before: Iterable[State] = (),
    *,
    only: Callable[[str, str], bool] = lambda model, benchmark: True,
    jobs: Mapping[str, Jobs] | None = None,
) -> list[State]:
    """Return the state of each evaluation of *run*, in the plan's order.

    *before* is an earlier answer: what was done then is not looked at again. *only* says of a
    model and a benchmark whether it is wanted. *jobs* is :func:`jobs_of` the run, if that was
    asked already.

    Raises:
        ConfigError: the run has no plan that can be read.
    """
    plan = [item for item in run.plan() if only(item.model, item.benchmark)]
    known = {state.id: state for state in before if state.state == "done"}
    inspection = Inspection(run, jobs_of(run) if jobs is None else jobs)
    found = [known.get(item.id) or inspection(item) for item in plan]
    if inspection.doubts:
        time.sleep(max(inspection.doubts.values()))
        again = Inspection(run, inspection.jobs, inspection)
        for number, state in enumerate(found):
            if state.id in inspection.doubts:
                found[number] = again(plan[number])
    return found


def jobs_of(run: RunDirectory) -> dict[str, Jobs]:
    """Return what each executor has of a run, by the executor's title; nothing is asked yet."""
    return {executor.title: executor.jobs(run) for executor in executors.of_run(run)}
