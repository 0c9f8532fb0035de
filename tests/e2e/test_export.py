"""The section `export:` as a rule of the DAG: after the table, and never the failure of a run."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from support import wandb_files
from support.command import FAILS, says, snakeval, workspace
from support.limits import HUNG
from support.workspace import Workspace


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    work = workspace(tmp_path, a=says(0.5), b=says(0.25))
    work.config["export"] = {"local": {"output_dir": "lake", "formats": ["csv"]}}
    return work


def exported(work: Workspace) -> str:
    return (work.directory / "lake" / "results.csv").read_text()


def test_results_are_exported_at_the_end_and_once_and_again_to_other_destinations(
    work: Workspace,
) -> None:
    done = work.snakemake()
    assert done.exit_code == 0, done.output
    assert "Exported to local" in done.output
    assert exported(work).count("done") == 2
    assert work.snakemake("-n").nothing_to_do
    work.config["export"]["local"]["formats"] = ["json"]
    again = work.snakemake()
    assert (again.exit_code, again.evaluated) == (0, set()), again.output
    assert (work.directory / "lake" / "results.json").exists()


def test_what_does_not_arrive_fails_no_run_and_is_sent_once_it_can(work: Workspace) -> None:
    lake = work.directory / "lake"
    lake.write_text("no directory")
    first = work.snakemake()
    assert first.exit_code == 0, first.output
    assert re.search(r"Not all exported to local: .*lake\S*: cannot be written", first.output)
    by_hand = snakeval(work, "export", str(work.run))
    assert by_hand.returncode == 1
    assert f"snakeval: local: {work.run.name} did not arrive (0 did): {lake}" in by_hand.stderr
    lake.unlink()
    again = work.snakemake()
    assert again.exit_code == 0, again.output
    assert not again.evaluated
    assert "export  done" in again.output
    assert exported(work).count("done") == 2
    by_hand = snakeval(work, "export", str(work.run))
    assert by_hand.returncode == 0, by_hand.stderr
    assert str(lake / "results.csv") in by_hand.stdout


@pytest.mark.exporters
def test_a_run_ends_in_mlflow_and_in_wandb(
    work: Workspace, mlflow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """See `unit/exporters` for what a second export changes."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    work.config["export"] = {"mlflow": {"tracking_uri": mlflow_url}, "wandb": {"per": "run"}}
    done = work.snakemake()
    assert "Exported to mlflow, wandb" in done.output, done.output
    found = mlflow(mlflow_url, "experiments/search", {"max_results": 99})["experiments"]
    (experiment,) = (each for each in found if each["name"] == "snakeval")
    asked = {"experiment_ids": [experiment["experiment_id"]]}
    runs = mlflow(mlflow_url, "runs/search", asked)["runs"]
    scores = {
        run["info"]["run_name"]: {each["key"]: each["value"] for each in run["data"]["metrics"]}
        for run in runs
    }
    assert len(runs) == 2
    assert (scores["m/a"]["a/v"], scores["m/b"]["b/v"]) == (0.5, 0.25)
    (offline,) = (work.run / "export" / "wandb").glob("offline-run-*")
    summary = wandb_files.read(offline).summary
    assert (summary["m/a/a/v"], summary["m/b/b/v"]) == (0.5, 0.25)


def mlflow(url: str, path: str, asked: dict[str, Any]) -> Any:
    """Ask the server itself; its library takes seconds to import."""
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=HUNG) as answer:
        return json.load(answer)


def test_a_run_with_a_failed_evaluation_reports_that_nothing_was_exported(work: Workspace) -> None:
    work.config["benchmarks"]["b"] = FAILS
    done = work.snakemake()
    assert done.exit_code == 1
    assert "Not exported: the run is not complete. `snakeval export " in done.output
    assert snakeval(work, "export", str(work.run)).returncode == 0
    assert "failed" in exported(work)


def test_a_wrong_section_fails_before_anything_starts(work: Workspace) -> None:
    work.config["export"] |= {"wandbb": None, "wandb": {"projct": "x"}}
    done = work.snakemake()
    assert done.exit_code == 1
    assert "config.yaml: export.wandbb: no such destination; did you mean" in done.output
    assert "config.yaml: export.wandb.projct: unknown key 'projct'; did you mean" in done.output
    assert not work.runs
