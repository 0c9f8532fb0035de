"""Counts the evaluations of a run that are done or have failed, by their files alone."""

from __future__ import annotations

from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import undeployed


def counts(run: RunDirectory) -> dict[str, int]:
    """Return how many evaluations of *run* are done, failed and in all.

    It asks no process and no executor, and is quicker than :func:`snakeval.watch.states.states`.

    Raises:
        ConfigError: the run has no plan that can be read.
    """
    plan = [item for item in run.plan() if not item.left_out]
    without_model = undeployed(run)
    done = failed = 0
    for item in plan:
        directory = run.evaluation(item.source)
        if directory.why_incomplete(item.fingerprint) is None:
            done += 1
        elif item.source in without_model or directory.has_failure():
            failed += 1
    return {"done": done, "failed": failed, "total": len(plan)}
