"""Tests the built-in catalogue."""

from __future__ import annotations

from typing import get_args

import pytest

from snakeval import catalogue
from snakeval.config.benchmarks import Params
from snakeval.config.models import EndpointType, Kind
from snakeval.errors import ConfigError
from snakeval.harnesses import ADAPTERS


def test_the_catalogue_has_nvidias_harnesses_lm_eval_and_generic_commands() -> None:
    nemo = [h for h in catalogue.harnesses().values() if h.adapter == "nemo"]
    assert len(nemo) == 23
    assert sum(task.harness in {h.name for h in nemo} for task in catalogue.tasks()) == 421
    assert {"lm-eval", "generic"} <= catalogue.harnesses().keys()


def test_each_task_has_a_known_harness_with_valid_types_and_parameters() -> None:
    for task in catalogue.tasks():
        assert task.harness in catalogue.harnesses()
        assert {EndpointType(kind) for kind in task.endpoint_types}
        Params.model_validate(task.params)
        assert catalogue.find_task(task.qualified) == task


def test_each_harness_has_an_adapter_and_an_image_or_requirements() -> None:
    for harness in catalogue.harnesses().values():
        assert harness.adapter in ADAPTERS
        assert harness.adapter == "generic" or harness.image
        if harness.requirements_file:
            lines = harness.requirements_file.read_text().splitlines()
            assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_the_error_of_an_ambiguous_name_lists_the_qualified_names() -> None:
    with pytest.raises(ConfigError, match=r"several harnesses have a task 'ifeval'; write one of"):
        catalogue.find_task("ifeval")


def test_the_catalogue_has_each_kind_of_server_of_the_configuration() -> None:
    kinds = catalogue.server_kinds()
    assert list(kinds) == list(get_args(get_args(Kind)[0]))
    for name, kind in kinds.items():
        if name in ("nim", "generic"):
            assert not kind.image + kind.command, "users choose the image"
        else:
            # A tag that moves would change scores without changing a fingerprint.
            assert ":" in kind.image
            assert not kind.image.endswith(":latest")
            assert kind.command
        assert kind.routes.keys() == {"chat", "completions", "embedding"}
        assert all(path.startswith("/") for path in (kind.health, *kind.routes.values()))
        assert kind.cache.startswith("/")
        assert kind.cache_env
        assert kind.shm_mb > 0
        assert kind.docs.startswith("https://")
