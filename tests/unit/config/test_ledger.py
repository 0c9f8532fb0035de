"""The keys of the ledger."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from support.configs import COMMAND, MODEL, VALID, changed, config


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
        *({"requests_per_minute": 1e-300}, {"tokens_per_minute": 0.5}),
        *({"tokens_per_minute": math.inf}, {"patience": math.nan}),
    ],
)
def test_a_limit_is_a_positive_number_of_a_known_kind(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="limits"):
        config(tmp_path, changed("models", "m", "endpoint", "limits", to=limits))


PRICED = {**MODEL, "prices": {"input": 0.5, "output": 2}}


def test_a_budget_is_in_amounts_and_seconds(tmp_path: Path) -> None:
    budget = {"money": 2.5, "tokens": "1e6", "requests": 100, "wall": "2h"}
    found = config(tmp_path, {**VALID, "models": {"m": PRICED}, "budget": budget}).budget
    assert found is not None
    assert found.limits == {"money": 2.5, "tokens": 1e6, "requests": 100, "wall": 7200}


def test_budget_of_the_command_replaces_kinds_of_the_file(tmp_path: Path) -> None:
    rows = {**VALID, "budget": {"tokens": 10, "requests": 5}}
    found = config(tmp_path, rows, budget={"tokens": 20}).budget
    assert found is not None
    assert found.limits == {"tokens": 20, "requests": 5}
    assert config(tmp_path, rows, budget="none").budget is None


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"budget": {"tokens": 0}}, "greater than 0"),
        ({"budget": {"tokens": 1.5}}, "integer"),
        ({"budget": {"euros": 1}}, "unknown key 'euros'"),
        ({"budget": {"wall": 99999}}, "is not a walltime"),
        ({"budget": {"tokens": 9}, "ledger": "off"}, "budget: ledger is off"),
        (
            {"budget": {"tokens": 9}, "models": {"m": MODEL | {"ledger": "off"}}},
            "budget: models.m.ledger is off",
        ),
        (
            {"budget": {"wall": 9}, "benchmarks": {"b": COMMAND | {"ledger": "off"}}},
            "budget: benchmarks.b.ledger is off, so no request is counted",
        ),
        ({"budget": {"money": 9}}, "budget.money: models.m has no prices; add models.m.prices"),
        (
            {"budget": {"money": 9}, "models": {"m": MODEL | {"prices": {"hour": 2}}}},
            "budget.money: models.m has no prices; add models.m.prices.input",
        ),
        ({"budget": {"wall": "４h"}}, "is not a walltime"),
        (
            {
                "models": {"m": PRICED, "n": MODEL | {"prices": {"input": 1, "currency": "EUR"}}},
            },
            "the models have prices in EUR and USD",
        ),
        ({"models": {"m": MODEL | {"prices": {}}}}, "has no price; add input and output, or hour"),
        ({"models": {"m": MODEL | {"prices": {"input": -1}}}}, "greater than or equal to 0"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_an_error(
    tmp_path: Path, rows: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        config(tmp_path, VALID | rows)


def test_a_budget_without_limits_limits_nothing(tmp_path: Path) -> None:
    assert config(tmp_path, {**VALID, "ledger": "off", "budget": {}}).budget is not None
