"""The cores of the Snakemake in a Slurm job."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from snakeval.dag.cores import use_cores_of_job

JOB = {"SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (JOB | {"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "64"}, 4),
        (JOB | {"SLURM_CPUS_ON_NODE": "8"}, 8),
        (JOB | {"SLURM_CPUS_PER_TASK": ""}, 2),
        (JOB, 2),
        ({"SLURM_CPUS_PER_TASK": "4"}, 2),
    ],
)
def test_a_job_has_its_own_cores_and_not_those_of_the_node(
    environment: dict[str, str], expected: int
) -> None:
    workflow = SimpleNamespace(
        is_main_process=False,
        resource_settings=SimpleNamespace(cores=2),
        global_resources={"_cores": 2},
    )
    use_cores_of_job(workflow, environment)
    assert workflow.resource_settings.cores == expected
    assert workflow.global_resources == {"_cores": expected}


@pytest.mark.parametrize(("main", "cores"), [(True, 2), (False, None)])
def test_a_head_and_a_job_that_starts_steps_keep_theirs(main: bool, cores: int | None) -> None:
    workflow = SimpleNamespace(
        is_main_process=main,
        resource_settings=SimpleNamespace(cores=cores),
        global_resources={"_cores": cores},
    )
    use_cores_of_job(workflow, JOB | {"SLURM_CPUS_PER_TASK": "4"})
    assert workflow.resource_settings.cores is cores
