"""The checks before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.dag.preflight import check
from snakeval.errors import ConfigError
from support.configs import COMMAND, MODEL, changed
from support.invocations import SERVER, invocation, serving


def test_an_unset_or_empty_variable_is_one_problem_with_its_key(tmp_path: Path) -> None:
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    content["models"]["n"] = MODEL
    content["benchmarks"] = {"b": COMMAND | {"env": ["TOKEN"]}, "c": COMMAND}
    opened = invocation(tmp_path, content)
    for environment in ({}, {"MY_KEY": ""}):
        with pytest.raises(ConfigError) as refused:
            check(opened, environment)
        assert str(refused.value).splitlines() == [
            "models.m.endpoint.api_key_name: $MY_KEY is not set; export it",
            "benchmarks.b.env: $TOKEN is not set; export it",
        ]
    check(opened, {"MY_KEY": "k", "TOKEN": ""})
    check(invocation(tmp_path, content, models="n", benchmarks="c"), {})


def test_an_output_directory_below_a_file_is_a_problem(tmp_path: Path) -> None:
    opened = invocation(tmp_path, output_dir=str(tmp_path / "c.yaml" / "out"))
    with pytest.raises(ConfigError, match=r"output_dir: .*c\.yaml is a file; name a directory"):
        check(opened, {})


def test_an_unset_variable_of_a_server_is_a_problem(tmp_path: Path) -> None:
    content = serving(benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}})
    content["models"]["m"] = {"deployment": SERVER | {"env": ["HF_TOKEN"]}}
    content["auxiliary"]["judge"] = {"deployment": SERVER | {"env": {"KEY": "MY_KEY"}}}
    content["auxiliary"]["unasked"] = {"deployment": SERVER | {"env": ["NOBODY_NEEDS"]}}
    opened = invocation(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        check(opened, {})
    assert str(refused.value).splitlines() == [
        "models.m.deployment.env: $HF_TOKEN is not set; export it",
        "auxiliary.judge.deployment.env: $MY_KEY is not set; export it",
    ]
    check(opened, {"HF_TOKEN": "", "MY_KEY": ""})
