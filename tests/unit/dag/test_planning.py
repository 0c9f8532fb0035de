"""The jobs in a dry run, and those that the site refuses."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from snakemake_executor_plugin_slurm_resume import official
from snakeval.dag import planning
from snakeval.executors.base import Executor
from snakeval.executors.local import Local
from snakeval.executors.slurm import plan
from snakeval.executors.slurm.executor import Slurm
from snakeval.matrix.planned_jobs import PlannedJob
from support.workspace import REPOSITORY

PROFILE = str(REPOSITORY / "profiles" / "slurm")
JOB = PlannedJob("e/b", (), {"runtime": 5})


def workflow(dryrun: bool) -> Any:
    return SimpleNamespace(output_settings=SimpleNamespace(dryrun=dryrun))


def matrix(*jobs: PlannedJob) -> Any:
    return SimpleNamespace(jobs=list(jobs), invocation=SimpleNamespace(deployed={}), missing=[])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-n", "--profile", PROFILE], Slurm),
        (["-n", "--executor", "slurm", "--jobs", "5"], Slurm),
        (["-n", "--profile", PROFILE, "--executor", "cluster-generic"], Executor),
        (["-n"], Local),
    ],
)
def test_a_dry_run_finds_the_executor_of_the_command(
    words: list[str], expected: type[Executor]
) -> None:
    assert type(planning.executor_of(words)) is expected


def test_a_dry_run_lists_the_jobs_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("snakemake.cli")  # the import of a plugin runs a program
    monkeypatch.setattr(sys, "argv", ["snakemake", "-n", "--profile", PROFILE])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(plan, "_run", lambda *command, input=None: pytest.fail("it asks"))
    assert planning.notes(workflow(True), matrix(JOB))[0] == "Slurm jobs: 1"
    assert planning.notes(workflow(False), matrix(JOB)) == []
    assert planning.notes(workflow(True), matrix()) == []


def test_a_missing_package_of_the_executor_ends_a_dry_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", "-n", "--profile", PROFILE])
    monkeypatch.setattr(official, "_version", lambda name: {"snakeval": "0.1.0"}.get(name, ""))
    with pytest.raises(SystemExit) as ended:
        planning.notes(workflow(True), matrix(JOB))
    sentence = f"{official.NAME} 2.8, which is not installed: pip install 'snakeval[slurm]'"
    assert ended.value.code == f"snakeval: The executor slurm-resume requires {sentence}"
    assert planning.notes(workflow(True), matrix()) == []
    assert Slurm().lacks("slurm") == ""


def test_a_check_ends_with_what_the_site_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", "-n", "--profile", PROFILE])
    monkeypatch.setenv(planning.CHECK, "1")
    monkeypatch.setattr(plan, "refusals", lambda jobs: iter(["e/b: Invalid account"]))
    with pytest.raises(SystemExit) as ended:
        planning.notes(workflow(True), matrix(JOB))
    assert str(ended.value).splitlines()[-1] == "snakeval: refused: e/b: Invalid account"
    monkeypatch.setattr(plan, "refusals", lambda jobs: iter(()))
    assert planning.notes(workflow(True), matrix(JOB))[-1] == "Slurm refuses none of the jobs"
