"""The section `export:` as a rule of the DAG: after the table, and never the failure of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import FAILS, says, snakeval, workspace
from support.workspace import Workspace

NOWHERE = {"tracking_uri": "http://127.0.0.1:1", "attempts": 1}


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    work = workspace(tmp_path, a=says(0.5), b=says(0.25))
    work.config["export"] = {"local": {"output_dir": "lake", "formats": ["csv"]}}
    return work


def exported(work: Workspace) -> str:
    return (work.directory / "lake" / "results.csv").read_text()


def test_results_are_exported_at_the_end_and_once(work: Workspace) -> None:
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "Exported to local" in done.output
    assert exported(work).count("done") == 2
    assert work.snakemake("-n").nothing_to_do


def test_what_does_not_arrive_fails_nothing_and_is_sent_by_the_same_command(
    work: Workspace,
) -> None:
    work.config["export"]["mlflow"] = NOWHERE
    first = work.snakemake()
    assert first.exit_code == 0, first.output
    assert "Not all exported to mlflow: the server: it cannot be reached: [Errno" in first.output
    assert "Exported to local" in first.output
    again = work.snakemake()
    assert again.exit_code == 0, again.output
    assert not again.evaluated
    assert "export  done" in again.output


def test_by_hand_it_is_exit_code_1_until_it_arrives(work: Workspace) -> None:
    work.config["export"]["mlflow"] = NOWHERE
    work.snakemake()
    done = snakeval(work, "export", str(work.run))
    assert done.returncode == 1
    assert "snakeval: mlflow: m/a, m/b did not arrive (0 did): the server: it" in done.stderr
    assert str(work.directory / "lake" / "results.csv") in done.stdout


def test_other_destinations_export_again_and_repeat_no_evaluation(work: Workspace) -> None:
    work.snakemake()
    work.config["export"]["local"]["formats"] = ["json"]
    again = work.snakemake()
    assert not again.evaluated
    assert (work.directory / "lake" / "results.json").exists()


def test_where_an_evaluation_failed_it_is_said_that_nothing_was_sent(work: Workspace) -> None:
    work.config["benchmarks"]["b"] = FAILS
    done = work.snakemake()
    assert done.exit_code == 1
    assert "Not exported, for not all is done; `snakeval export " in done.output
    assert snakeval(work, "export", str(work.run)).returncode == 0
    assert "failed" in exported(work)


def test_a_wrong_section_is_told_before_anything_starts(work: Workspace) -> None:
    work.config["export"] |= {"wandbb": None, "wandb": {"projct": "x"}}
    done = work.snakemake()
    assert done.exit_code == 1
    assert "config.yaml: export.wandbb: no such destination; did you mean" in done.output
    assert "config.yaml: export.wandb.projct: unknown key 'projct'; did you mean" in done.output
    assert not work.runs
