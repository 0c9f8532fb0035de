"""Tests parameters, variables and data sets of tasks that older configurations misplace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.evaluation.attempts import EvaluationDirectory
from snakeval.jobs.container import container
from snakeval.matrix.expand import expand
from snakeval.runtimes.podman import Podman
from support.launcher import TARGET, plain, read

ADAPTER = {"api_endpoint": {"adapter_config": {"use_caching": True}}}


def evaluated(place: Path, *tasks: dict[str, Any], **evaluation: Any) -> Config:
    return plain(place, {"target": TARGET, "evaluation": {"tasks": [*tasks], **evaluation}})


def notes(place: Path, task: dict[str, Any]) -> tuple[str, ...]:
    content = {"target": TARGET, "evaluation": {"tasks": [task]}}
    return read(place, content).notes


@pytest.mark.parametrize(
    ("config", "params", "note"),
    [
        (
            {"config": {"extra": {"n_samples": 3}}},
            {"extra": {"n_samples": 3}},
            "config.extra: is read as config.params.extra",
        ),
        (
            {"config": {"params": {"max_tokens": 9}}},
            {"max_new_tokens": 9},
            "config.params.max_tokens: is read as max_new_tokens",
        ),
        (
            {"config": {"target": ADAPTER}},
            {"extra": {"adapter_config": {"use_caching": True}}},
            "config.target: is read as evaluation.tasks.0.nemo_evaluator_config.target",
        ),
    ],
)
def test_a_misplaced_key_has_its_effect_and_is_reported(
    tmp_path: Path, config: dict[str, Any], params: dict[str, Any], note: str
) -> None:
    task = {"name": "ifeval", "nemo_evaluator_config": config}
    benchmark = evaluated(tmp_path, task).benchmarks["ifeval"]
    assert benchmark.params.model_dump(exclude_unset=True) == params
    place = "evaluation.tasks.0.nemo_evaluator_config."
    assert any(each.startswith(f"{place}{note}") for each in notes(tmp_path, task))


@pytest.mark.parametrize(
    ("misplaced", "extra"),
    [
        ({"config": {"params": {"extra": {"n": 1}}}}, {"n": 1}),
        ({"config": {"config": {"params": {"extra": {"n": 1}}}}}, {"n": 1}),
        ({"target": ADAPTER}, {"adapter_config": {"use_caching": True}}),
        ({"config": {"target": ADAPTER}}, {"adapter_config": {"use_caching": True}}),
    ],
)
def test_a_configuration_beside_its_place(
    tmp_path: Path, misplaced: dict[str, Any], extra: dict[str, Any]
) -> None:
    task = {"name": "ifeval", **misplaced}
    assert evaluated(tmp_path, task).benchmarks["ifeval"].params.extra == extra
    (name,) = misplaced
    note = f"evaluation.tasks.0.{name}: is read as a part of nemo_evaluator_config, its place"
    assert note in notes(tmp_path, task)


def test_a_task_of_an_older_release_has_its_new_name(tmp_path: Path) -> None:
    (benchmark,) = evaluated(tmp_path, {"name": "mbpp"}).benchmarks.values()
    assert benchmark.task == "bigcode-evaluation-harness.mbpp-chat"
    assert "evaluation.tasks.0.name: mbpp is now called mbpp-chat" in notes(
        tmp_path, {"name": "mbpp"}
    )


def test_variables_inside_the_configuration_of_a_task(tmp_path: Path) -> None:
    inside = {"env_vars": {"A": "host:B", "C": "host:D"}}
    task = {"name": "ifeval", "nemo_evaluator_config": inside, "env_vars": {"C": "lit:1"}}
    benchmark = evaluated(tmp_path, task).benchmarks["ifeval"]
    assert (benchmark.env, benchmark.set_env) == ({"A": "B"}, {"C": "1"})
    assert any("is read as evaluation.tasks.0.env_vars" in each for each in notes(tmp_path, task))


def test_literals_reach_the_harness_and_a_task_overrides_those_of_all(tmp_path: Path) -> None:
    task = {"name": "ifeval", "env_vars": {"A": "lit:2", "B": "host:B"}}
    config = evaluated(tmp_path, task, env_vars={"A": "host:A", "B": "lit:1", "EMPTY": "lit:"})
    benchmark = config.benchmarks["ifeval"]
    assert (benchmark.env, benchmark.set_env) == ({"B": "B"}, {"A": "2", "EMPTY": ""})
    (evaluation,) = expand(config)
    directory = EvaluationDirectory(tmp_path / "run" / evaluation.id)
    spec = container(evaluation, directory, Podman(), "run")
    assert (spec.env["A"], spec.env["EMPTY"], spec.secrets["B"]) == ("2", "", "B")


def test_a_data_set_is_mounted_and_its_place_is_in_the_launchers_variable(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    task = {"name": "ifeval", "dataset_dir": "data"}
    benchmark = evaluated(tmp_path, task).benchmarks["ifeval"]
    assert [(m.source, m.target) for m in benchmark.mounts] == [
        (str(tmp_path / "data"), "/datasets")
    ]
    assert benchmark.set_env == {"NEMO_EVALUATOR_DATASET_DIR": "/datasets"}
    own = evaluated(tmp_path, task | {"dataset_mount_path": "/own"}).benchmarks["ifeval"]
    assert own.set_env == {"NEMO_EVALUATOR_DATASET_DIR": "/own"}
