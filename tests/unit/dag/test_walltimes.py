"""The warning of a walltime that mostly loads the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.dag.walltimes import warnings
from snakeval.matrix.durations import Durations
from snakeval.matrix.planned_jobs import PlannedJob
from support.allocations import Opened, content


@pytest.mark.parametrize(
    ("minutes", "loading", "better"),
    [(2, 70, "00:20:00"), (5, 400, "01:10:00"), (2, 60, ""), (60, 900, ""), (None, 900, "")],
)
def test_a_job_that_mostly_loads_its_model_gets_a_better_walltime(
    tmp_path: Path, minutes: int | None, loading: float, better: str
) -> None:
    deployed = Opened(tmp_path, content())._deployed
    durations = Durations({})
    durations.learn_loading(deployed["m"], loading)
    resources = {} if minutes is None else {"runtime": minutes}
    jobs = [PlannedJob(name, ("b",), resources, "m") for name in ("m", "m.2")]
    endpoint = PlannedJob("e/b", (), {"runtime": 1})
    found = warnings([*jobs, endpoint], deployed, durations)
    assert len(found) == bool(better)
    if better:
        assert found[0].startswith(f"Walltime: each job of m lasts {minutes} min, and loading")
        assert found[0].endswith(f'Set execution.slurm.walltime to "{better}" or more')
