"""The section ``health`` of a configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.config.health import Health
from snakeval.config.health_rules import RULES
from snakeval.errors import ConfigError
from support.configs import config

MODEL = {"m": {"endpoint": {"url": "http://host/v1", "model_id": "m"}}}


def loaded(tmp_path: Path, health: Any) -> Config:
    return config(tmp_path, {"models": MODEL, "benchmarks": ["ifeval"], "health": health})


def test_the_section_has_each_rule() -> None:
    assert set(Health.model_fields) == set(RULES)
    assert Health().plain() == {}


def test_a_rule_is_a_word_or_has_thresholds(tmp_path: Path) -> None:
    rules = {"cut": "fail", "empty": "ignore", "refused": {"warn": "2 %", "fail": 5}}
    found = loaded(tmp_path, rules).health.plain()
    assert found == {"cut": {"fail": 0.01}, "empty": {}, "refused": {"warn": 0.02, "fail": 5}}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"cut": "error"}, "write fail, warn or ignore"),
        ({"cut": 3}, "write fail, warn or ignore"),
        ({"cut": {}}, "write fail, warn or ignore"),
        ({"cut": {"ignore": None, "fail": 1}}, "write fail, warn or ignore"),
        ({"cut": {"warn": "１ %"}}, "is no threshold; write a count such as 1"),
        ({"cut": {"fail": "much"}}, "is no threshold; write a count such as 1"),
        ({"cut": {"note": 1}}, "unknown key 'note'"),
        ({"cuts": "fail"}, "unknown key 'cuts'"),
    ],
)
def test_a_wrong_rule_is_an_error_with_a_hint(tmp_path: Path, rules: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        loaded(tmp_path, rules)
