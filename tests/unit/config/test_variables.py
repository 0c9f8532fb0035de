"""The list of variables that a harness without a container inherits."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config


def test_names_and_patterns_reach_each_evaluation_and_change_no_definition(tmp_path: Path) -> None:
    rows = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}
    (plain,) = expand(config(tmp_path, rows))
    (listed,) = expand(config(tmp_path, rows | {"inherit": ["MY_*", "CI"]}))
    assert (plain.transport.inherit, listed.transport.inherit) == (("*",), ("MY_*", "CI"))
    assert plain.fingerprint == listed.fingerprint


@pytest.mark.parametrize("wrong", ["MY VAR", "sk-abc=def", ""])
def test_what_is_no_name_is_an_error_that_does_not_repeat_it(tmp_path: Path, wrong: str) -> None:
    rows = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}, "inherit": [wrong]}
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, rows)
    assert "inherit.0: is not the name of an environment variable; write a name" in str(
        caught.value
    )
    assert not wrong or wrong not in str(caught.value)
