"""The examples of config/examples are true: each plans, and the one that can run here runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from snakeval.config import load
from snakeval.demo.server import serve
from snakeval.matrix import expand

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))
KEYS = {"EXAMPLE_API_KEY": "unused", "NVIDIA_API_KEY": "unused", "HF_TOKEN": "unused"}


def snakemake(directory: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile"),
            *("--profile", REPOSITORY / "profiles" / "local", *options),
        ],
        cwd=directory,
        env={**os.environ, **KEYS, "SNAKEVAL_HOME": str(directory / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_plans_each_of_its_evaluations(tmp_path: Path, example: Path) -> None:
    plan = snakemake(tmp_path, "-n", "--configfile", example)
    assert plan.returncode == 0, plan.stderr
    for evaluation in expand(load([example])[0]):
        assert f"evaluate  {evaluation.id}  (missing output files)" in plan.stderr


def test_the_example_of_an_own_command_runs(tmp_path: Path) -> None:
    with serve(models=["careful", "sloppy"]) as server:
        here = {"endpoint": {"url": f"{server.url}/v1", "model_id": "sloppy"}}
        (tmp_path / "here.yaml").write_text(yaml.safe_dump({"models": {"local": here}}))
        example = REPOSITORY / "config" / "examples" / "own-command.yaml"
        done = snakemake(tmp_path, "--configfile", example, "here.yaml")
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("results/*/results.csv")
    (row,) = pd.read_csv(file).itertuples()
    assert (row.metric, row.value, row.n) == ("listed", 1.0, 2)
