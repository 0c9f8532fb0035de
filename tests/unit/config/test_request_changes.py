"""Changes to the requests of an endpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from support.configs import changed, config


def test_changes_to_requests_are_kept_in_one_form(tmp_path: Path) -> None:
    changes = {"drop": ["stop", "seed", "stop"], "rename": {"a": "b"}, "add": {"c": {"d": None}}}
    found = config(tmp_path, changed("models", "m", "endpoint", "request", to=changes))
    endpoint = found.models["m"].endpoint
    assert endpoint is not None
    assert endpoint.request.identity == changes | {"drop": ["seed", "stop"]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"drop": ["messages"]}, "'messages' would change the question or the form of its answer"),
        ({"rename": {"prompt": "x"}}, "'prompt' would change the question"),
        ({"rename": {"x": "model"}}, "'model' would change the question"),
        ({"add": {"stream": "x"}}, "'stream' would change the question"),
        ({"drop": [""]}, "'' is empty"),
        ({"rename": {"stop": "ends"}, "drop": ["stop"]}, "has 'stop' in rename and in drop"),
        ({"rename": {"stop": "stop"}}, "renames 'stop' to itself"),
        ({"rename": {"a": "c", "b": "c"}}, "renames two parameters to 'c'"),
        ({"add": {"x": math.nan}}, "must contain finite numbers only"),
        ({"dropp": ["stop"]}, "unknown key 'dropp'"),
        ({"drop": "stop"}, "drop"),
    ],
)
def test_changes_that_make_no_sense_are_errors(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, changed("models", "m", "endpoint", "request", to=changes))
    assert problem in str(error.value)
    assert "endpoint.request" in str(error.value)
