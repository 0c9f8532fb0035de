"""The examples of config/examples are true: each plans, and the one that can run here runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config import load
from snakeval.demo.server import serve
from snakeval.matrix import expand
from support.workspace import REPOSITORY, Workspace

EXAMPLES = sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXAMPLE_API_KEY", "NVIDIA_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "unused")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_plans_each_of_its_evaluations(tmp_path: Path, example: Path) -> None:
    plan = Workspace.below(tmp_path).snakemake("-n", "--configfile", str(example))
    assert plan.exit_code == 0, plan.output
    assert plan.evaluated == {evaluation.id for evaluation in expand(load([example])[0])}


def test_the_example_of_an_own_command_runs(tmp_path: Path) -> None:
    with serve(models=["careful", "sloppy"]) as server:
        here = {"endpoint": {"url": f"{server.url}/v1", "model_id": "sloppy"}}
        work = Workspace.below(tmp_path, models={"local": here})
        example = str(REPOSITORY / "config" / "examples" / "own-command.yaml")
        done = work.snakemake("--configfile", example, "config.yaml")
    assert done.exit_code == 0, done.output
    (row,) = work.table().itertuples()
    assert (row.metric, row.value, row.n) == ("listed", 1.0, 2)
