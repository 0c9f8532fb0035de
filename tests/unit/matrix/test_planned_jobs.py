"""The jobs that a run will submit."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.matrix.planned_jobs import planned
from support.allocations import Opened, content


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def test_allocations_and_evaluations_of_endpoints_are_jobs(tmp_path: Path) -> None:
    opened = Opened(tmp_path, content({"evaluations_per_allocation": 3, "partition": "gpu"}))
    chosen = {(e.model, e.benchmark): e for e in opened.by_id.values()}
    jobs = planned(opened, chosen, {"runtime": 5}, lambda evaluation: evaluation.benchmark != "b0")
    endpoints = [job for job in jobs if not job.loading]
    assert [job.name for job in endpoints] == [f"e/b{number}" for number in range(1, 6)]
    assert endpoints[0].resources == {"runtime": 5, "slurm_partition": "gpu"}
    allocated = {job.name: job for job in jobs if job.loading}
    assert set(allocated) == {"m", "m.2"}
    assert sorted(name for job in allocated.values() for name in job.members) == [
        f"b{number}" for number in range(1, 6)
    ]
    assert {job.resources["gpu"] for job in allocated.values()} == {2}


def test_what_has_nothing_to_do_is_no_job(tmp_path: Path) -> None:
    opened = Opened(tmp_path, content())
    chosen = {(e.model, e.benchmark): e for e in opened.by_id.values()}
    assert planned(opened, chosen, {}, lambda evaluation: False) == []
