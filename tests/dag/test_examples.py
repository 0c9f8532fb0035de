"""The examples of config/examples work: each plans, and some run here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.config.load import load
from snakeval.demo.items import expected_score
from snakeval.demo.server import serve
from snakeval.matrix.expand import deployments, expand
from support.configs import write
from support.workspace import REPOSITORY, Workspace

#: Those with a `defaults` list are composed by the command, see e2e/test_command_run.py.
EXAMPLES = [
    path
    for path in sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))
    if "defaults" not in yaml.safe_load(path.read_text())
]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXAMPLE_API_KEY", "NVIDIA_API_KEY", "NGC_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "unused")


def weights_here(example: Path, directory: Path) -> list[Path]:
    """The example, and what says that its checkpoints are in a directory of the test."""
    models: dict[str, Any] = {}
    for name, model in yaml.safe_load(example.read_text())["models"].items():
        if place := model.get("deployment", {}).get("checkpoint_path"):
            weights = directory / Path(place).name
            weights.touch()
            models[name] = {"deployment": {"checkpoint_path": str(weights)}}
    return [example, write(directory, {"models": models}, "weights.yaml")] if models else [example]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_plans_each_of_its_servers_and_evaluations(
    tmp_path: Path, example: Path
) -> None:
    files = weights_here(example, tmp_path)
    plan = Workspace.below(tmp_path).snakemake("-n", "--configfile", *map(str, files))
    assert plan.exit_code == 0, plan.output
    config, _, _ = load(files)
    assert plan.evaluated == {evaluation.id for evaluation in expand(config)}
    deployed = re.findall(r"^deploy  (\S+)$", plan.output, re.MULTILINE)
    assert sorted(deployed) == sorted(deployments(config))


def run(tmp_path: Path, example: str, *options: str, **config: Any) -> Workspace:
    """Run an example with what differs here."""
    work = Workspace.below(tmp_path, **config)
    file = str(REPOSITORY / "config" / "examples" / example)
    done = work.snakemake("--configfile", file, "config.yaml", *options)
    assert done.exit_code == 0, done.output
    return work


def test_the_example_of_a_custom_command_runs(tmp_path: Path) -> None:
    with serve(models=["careful", "sloppy"]) as server:
        here = {"endpoint": {"url": f"{server.url}/v1", "model_id": "sloppy"}}
        work = run(tmp_path, "own-command.yaml", models={"local": here})
    (row,) = work.table().itertuples()
    assert (row.metric, row.value, row.n) == ("listed", 1.0, 2)


@pytest.mark.images
def test_the_example_of_a_custom_benchmark_runs_in_its_image(tmp_path: Path) -> None:
    with serve(models=["sloppy"]) as server:
        here = {"endpoint": {"url": f"{server.url}/v1", "model_id": "sloppy"}}
        work = run(tmp_path, "own-benchmark.yaml", runtime="docker", models={"local": here})
    (row,) = work.table().itertuples()
    assert (row.value, row.n) == (expected_score("sloppy", "sorting"), 40)


def test_the_example_of_a_deployed_judge_runs(tmp_path: Path) -> None:
    def served(name: str) -> dict[str, Any]:
        command = "python3 -m snakeval.demo.server --host {{ host }} --port {{ port }} --models"
        here = {"kind": "generic", "runtime": "process", "hf_model_handle": None}
        return {"deployment": here | {"command": f"{command} {name}", "served_model_name": name}}

    # Its other benchmark needs an engine.
    work = run(
        tmp_path, "judge.yaml", exclude=["*/long-context"],
        models={"small": served("careful")},
        auxiliary={"grader": served("sloppy")},
        benchmarks={"haiku": {"image": None}},
    )  # fmt: skip
    row = work.table().loc["small/haiku"]
    # The demo's models say "I do not know." to whatever is no item of the demo.
    assert (row["metric"], row["value"], row["n"]) == ("accepted", 0.0, 3)
