"""The plan of Slurm jobs, and what a site refuses, with the recorded answers of a real Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.executors.slurm.plan import lines, minutes_of, options, planned_by, refusals
from snakeval.matrix.planned_jobs import PlannedJob
from support.allocations import content
from support.configs import config

ONE = PlannedJob(
    "m/b", (), {"slurm_account": "evals", "slurm_partition": "gpu", "runtime": 90, "mem_mb": 4000}
)
#: As Slurm 22.05 answers; the scripts print them to stderr and exit with 1.
ACCOUNT = "allocation failure: Invalid account or account/partition combination specified"
PARTITION = """sbatch: error: invalid partition specified: moon
allocation failure: Invalid partition name specified"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands that note how they were called, and answer as the testbed does."""
    answers = {
        "sinfo": "cpu|infinite\ngpu|2:00:00\n",
        "sacctmgr": "normal|\nshort|00:30:00\n",
        "sbatch": "",
    }
    for name, answer in answers.items():
        (tmp_path / f"{name}.says").write_text(answer)
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\ncd {tmp_path}\necho "$@" >> {name}.asked\n'
            f"[ -e {name}.fails ] && cat {name}.fails >&2 && exit 1\ncat {name}.says\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def with_(job: PlannedJob, **resources: Any) -> PlannedJob:
    return PlannedJob(job.name, job.members, {**job.resources, **resources}, job.loading)


def test_each_job_is_a_line_with_its_request_and_members() -> None:
    group = PlannedJob("m", ("b", "c"), {"gpu": 2, "qos": "short", "nodes": 2}, "m")
    assert lines([ONE, group]) == [
        "Slurm jobs: 2",
        "  m/b: account evals, partition gpu, QOS default, walltime 01:30:00, GPUs 0, memory 4000 "
        "MiB, nodes 1",
        "  m: account default, partition default, QOS short, walltime default, GPUs 2, memory "
        "default, nodes 2: b, c",
    ]
    assert lines([ONE] * 25)[-1] == "  5 more jobs"
    assert lines([]) == []


def test_a_site_that_accepts_is_asked_once_for_all_jobs_alike(site: Path) -> None:
    assert list(refusals([ONE, with_(ONE), ONE])) == []
    assert (site / "sbatch.asked").read_text().splitlines() == [
        "--test-only --account=evals --partition=gpu --time=90 --mem=4000"
    ]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (ACCOUNT, "Invalid account or account/partition combination specified"),
        (PARTITION, "invalid partition specified: moon; Invalid partition name specified"),
    ],
)
def test_a_refusal_has_slurms_words_and_the_request(site: Path, said: str, problem: str) -> None:
    (site / "sbatch.fails").write_text(said)
    (found,) = refusals([ONE])
    assert found.startswith(f"m/b: {problem} (--account=evals --partition=gpu")


def test_a_walltime_that_slurm_accepts_and_never_starts_fails_here(site: Path) -> None:
    found = list(refusals([with_(ONE, runtime=600, qos="short")]))
    assert found == [
        "m/b: walltime 10:00:00 is above the limit of partition gpu, 02:00:00",
        "m/b: walltime 10:00:00 is above the limit of QOS short, 00:30:00",
    ]
    assert list(refusals([with_(ONE, runtime=600, slurm_partition="cpu")])) == []


def test_a_machine_without_slurm_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(refusals([ONE])) == []


def test_other_flags_of_a_job_are_asked_for_as_well() -> None:
    job = with_(ONE, slurm_extra="--exclude=n1 --reservation=r")
    assert options(job)[-2:] == ["--exclude=n1", "--reservation=r"]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("2:00:00", 120), ("1-00:30:00", 1470), ("30:00", 30), ("infinite", None), ("", None)],
)
def test_limits_are_read(limit: str, minutes: int | None) -> None:
    assert minutes_of(limit) == minutes


def test_a_configuration_and_a_profile_give_the_same_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    asked = config(tmp_path, content({"partition": "gpu", "walltime": "01:00:00"}))
    profile = {"cores": 3, "default-resources": ["slurm_account=evals", "mem_mb=100"]}
    jobs = {job.name: job for job in planned_by(asked, profile)}
    assert set(jobs) == {"m", *(f"e/b{number}" for number in range(6))}
    assert jobs["m"].members == tuple(f"b{number}" for number in range(6))
    assert jobs["m"].resources == {
        "slurm_account": "evals", "slurm_partition": "gpu", "runtime": 60, "gpu": 2,
        "mem_mb": 100, "cpus_per_task": 3,
    }  # fmt: skip
    assert "gpu" not in jobs["e/b0"].resources
    assert planned_by(config(tmp_path, content()), profile) == []
