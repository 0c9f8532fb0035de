"""Warns of a walltime that is so short that each job mostly loads its model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from snakeval.evaluation.duration_text import estimate_text
from snakeval.matrix.durations import Durations
from snakeval.matrix.planned_jobs import PlannedJob
from snakeval.serving.deployment import Deployment

#: Loading may take this part of a walltime; of the one that the warning suggests, a tenth.
_PART, _SUGGESTED_PART = 0.5, 0.1
#: Suggestions are whole multiples of so many minutes.
_STEP = 10


def warnings(
    jobs: Sequence[PlannedJob],
    deployed: Mapping[str, Deployment],
    durations: Durations | None = None,
) -> list[str]:
    """Return a line for each model whose jobs have too short a walltime, with a better value."""
    known = durations or Durations.load()
    lines: dict[str, str] = {}
    for job in jobs:
        minutes = job.resources.get("runtime")
        if not job.loading or not isinstance(minutes, int):
            continue
        loading = known.loading(deployed[job.loading])
        if loading <= _PART * 60 * minutes:
            continue
        better = _STEP * math.ceil(loading / 60 / _SUGGESTED_PART / _STEP)
        lines[job.loading] = (
            f"Walltime: each job of {job.loading} lasts {minutes} min, and loading the model takes "
            f"{estimate_text(loading)} of them. Set execution.slurm.walltime to "
            f'"{better // 60:02}:{better % 60:02}:00" or more'
        )
    return list(lines.values())
