"""Each look gives the steps that can start, the newest of each series first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.errors import ConfigError
from snakeval.follow.looks import Looks
from snakeval.follow.sight import Series, folders_of
from support.checkpoints import adapter, checkpoint, safetensors

BENCHMARK = {
    "harness": "generic",
    "command": "true",
    "metrics": {"file": "x.json", "values": {"s": {"value": "s"}}},
}


def config(models: dict[str, Any]) -> Config:
    return Config.model_validate({"models": models, "benchmarks": {"b": BENCHMARK}})


def trained(tmp_path: Path, **keys: Any) -> dict[str, Any]:
    return {
        "checkpoints": {"pattern": f"{tmp_path}/step-{{step}}", **keys},
        "deployment": {"kind": "generic", "command": "serve {{ port }}"},
    }


@pytest.fixture
def later() -> tuple[Looks, Callable[[], None]]:
    now = [0.0]

    def wait() -> None:
        now[0] += 6

    return Looks(lambda: now[0]), wait


def no_models(name: str, endpoint: object) -> list[str]:
    raise AssertionError


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_newest_first_in_any_order(tmp_path: Path, later: Any, order: str) -> None:
    looks, wait = later
    for step in (100, 1000, 20):
        checkpoint(tmp_path / f"step-{step}")
    (tmp_path / "step-5").mkdir()
    base = {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}
    models = {"base": base, "run7": trained(tmp_path, order=order)}
    series = Series(config(models), looks, no_models)
    first = series.look()
    assert [step.model for step in first.steps] == ["base"]
    assert set(first.waiting) == {"run7@100", "run7@1000", "run7@20", "run7@5"}
    wait()
    seen = series.look()
    assert [step.model for step in seen.steps] == ["run7@1000", "run7@100", "run7@20", "base"]
    assert seen.waiting == {"run7@5": "not settled yet: config.json is missing"}
    assert seen.config is not None
    assert "run7@1000" in seen.config.models
    shutil.rmtree(tmp_path / "step-1000")
    assert [step.model for step in series.look().steps] == ["run7@100", "run7@20", "base"]


def test_nothing_is_ready(tmp_path: Path, later: Any) -> None:
    looks, _ = later
    series = Series(config({"run7": trained(tmp_path)}), looks, no_models)
    assert series.look().config is None
    (tmp_path / "step-5").mkdir()
    assert series.look().waiting == {"run7@5": "not settled yet: config.json is missing"}


def test_value_that_fits_no_name_is_a_problem_of_its_own(tmp_path: Path, later: Any) -> None:
    looks, wait = later
    checkpoint(tmp_path / "step-1")
    checkpoint(tmp_path / "step-a b")
    series = Series(config({"run7": trained(tmp_path)}), looks, no_models)
    series.look()
    wait()
    seen = series.look()
    assert [step.model for step in seen.steps] == ["run7@1"]
    (problem,) = seen.problems
    assert f"{tmp_path}/step-a b" in problem


def test_endpoint_lists_the_checkpoints_also_while_it_is_silent(later: Any) -> None:
    looks, _ = later
    endpoint = {"url": "http://127.0.0.1:1/v1"}
    model = {"checkpoints": {"pattern": "run7-{step}"}, "endpoint": endpoint}
    answers: list[list[str]] = [["run7-1", "run7-2", "x"]]

    def listed(name: str, endpoint: object) -> list[str]:
        if not answers:
            raise ConfigError("it does not answer")
        return answers.pop()

    series = Series(config({"run7": model}), looks, listed)
    assert series.asks
    assert not series.folders()
    assert [step.model for step in series.look().steps] == ["run7@2", "run7@1"]
    silent = series.look()
    assert [step.model for step in silent.steps] == ["run7@2", "run7@1"]
    assert silent.problems == ("it does not answer",)


def test_overwritten_adapter_is_another_step(tmp_path: Path, later: Any) -> None:
    looks, wait = later
    adapter(tmp_path / "step-1")
    model = trained(tmp_path) | {"deployment": {"kind": "vllm", "hf_model_handle": "org/base"}}
    series = Series(config({"run7": model}), looks, no_models)
    found = []
    for content in (b"a", b"b"):
        (tmp_path / "step-1/adapter_model.safetensors").write_bytes(safetensors({"x": content}))
        series.look()
        wait()
        found += series.look().steps
    assert [step.model for step in found] == ["run7@1", "run7@1"]
    assert len({step.content for step in found} - {""}) == 2


def test_folders_of_a_pattern(tmp_path: Path) -> None:
    pattern = f"{tmp_path}/runs/lr-{{lr}}/hf/step-{{step}}"
    assert folders_of(pattern) == {str(tmp_path)}
    checkpoint(tmp_path / "runs/lr-1/hf/step-1")
    (tmp_path / "runs/lr-2").mkdir()
    (tmp_path / "runs/other").mkdir()
    below = ("", "/lr-1", "/lr-1/hf", "/lr-1/hf/step-1", "/lr-2")
    assert folders_of(pattern) == {f"{tmp_path}/runs{folder}" for folder in below}
