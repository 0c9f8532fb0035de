"""A series of checkpoints is planned as models, by `snakemake -n` and by `snakeval run -n`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import forks
from support.checkpoints import checkpoint
from support.configs import COMMAND
from support.limits import HUNG
from support.workspace import Workspace

SERVED = {"kind": "generic", "command": "serve --port {{ port }}", "runtime": "process"}
LEFT_OUT = "  run7@400: not settled yet: it has no done"


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    series = {"pattern": f"{tmp_path}/train/step-{{step}}", "ready": "done"}
    for step in (100, 200, 300, 400):
        path = checkpoint(tmp_path / f"train/step-{step}")
        if step < 400:
            (path / "done").touch()
    return Workspace.below(
        tmp_path,
        models={"run7": {"deployment": SERVED, "checkpoints": series}},
        benchmarks={"b": COMMAND},
    )


def test_snakemake_plans_a_model_for_each_ready_checkpoint(work: Workspace) -> None:
    done = work.snakemake("-n", "--config", "models=run7")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert {"Series run7: 3 checkpoints, 1 left out", LEFT_OUT} <= {*lines}
    assert "To do: 3 deploy, 3 evaluate, 1 table, 1 report" in lines
    assert done.evaluated == {f"run7@{step}/b" for step in (100, 200, 300)}


def test_snakeval_prints_the_series_as_it_is_written_and_its_plan(work: Workspace) -> None:
    work.command()  # which writes config.yaml
    words = (str(Path(sys.executable).with_name("snakeval")), "run", "config.yaml", "--dry-run")
    done = forks.finished(words, cwd=work.directory, env=work.environment, timeout=HUNG)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert output.count(LEFT_OUT) == 1
    assert "      pattern: " in output
    assert "\n  run7@100:\n" not in output
    assert "(new): 3 evaluations in " in output
