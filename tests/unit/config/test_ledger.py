"""The keys of the ledger."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from support.configs import VALID, changed, config


@pytest.mark.parametrize(
    ("text", "mode"), [("on", "on"), ("off", "off"), ("memory", "memory"), ('"off"', "off")]
)
def test_yaml_reads_on_and_off_as_truth_values_and_both_are_modes(
    tmp_path: Path, text: str, mode: str
) -> None:
    models = "models: {m: {endpoint: {url: http://host/v1, model_id: m}}}\n"
    benchmark = "{harness: generic, command: x, metrics: {file: f, values: {v: v}}}"
    found = config(tmp_path, f"ledger: {text}\n{models}benchmarks: {{b: {benchmark}}}\n")
    assert found.ledger == mode


@pytest.mark.parametrize(("text", "mode"), [("on", "on"), ("off", "off"), ("null", None)])
def test_a_model_and_a_benchmark_have_the_switch_of_the_run(
    tmp_path: Path, text: str, mode: str | None
) -> None:
    models = f"models: {{m: {{ledger: {text}, endpoint: {{url: http://h/v1, model_id: m}}}}}}\n"
    benchmark = (
        f"{{ledger: {text}, harness: generic, command: x, metrics: {{file: f, values: {{v: v}}}}}}"
    )
    found = config(tmp_path, f"{models}benchmarks: {{b: {benchmark}}}\n")
    assert (found.models["m"].ledger, found.benchmarks["b"].ledger) == (mode, mode)


def test_other_modes_and_other_truth_values_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ledger"):
        config(tmp_path, {**VALID, "ledger": "disk"})
    with pytest.raises(ConfigError, match="is true or false in YAML"):
        config(tmp_path, {**VALID, "name": True})


@pytest.mark.parametrize(
    "limits",
    [
        *({"concurrency": 0}, {"requests_per_minute": 0}, {"tokens": 1}, {"patience": -1}),
        *({"patience": math.inf}, {"requests_per_minute": math.inf}),
        *({"tokens_per_minute": math.inf}, {"patience": math.nan}),
    ],
)
def test_a_limit_is_a_positive_number_of_a_known_kind(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="limits"):
        config(tmp_path, changed("models", "m", "endpoint", "limits", to=limits))
