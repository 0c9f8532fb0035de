"""Names of scores at destinations."""

from __future__ import annotations

import itertools
import posixpath
from typing import Any

import pytest

from snakeval.exporters.scores import is_path, scores_of


def row(**more: Any) -> dict[str, Any]:
    return {"model": "m", "task": "t", "metric": "acc", "filter": "", "value": 0.5, **more}


def test_a_score_has_its_interval_beside_it() -> None:
    found = scores_of([row(stderr=0.1, ci_low=0.3, ci_high=float("nan"))], ["model"])
    assert found == {"m/t/acc": 0.5, "m/t/acc_stderr": 0.1, "m/t/acc_ci_low": 0.3}


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_row_without_a_value_is_no_score(value: float | None) -> None:
    assert scores_of([row(value=value)], []) == {}


def test_names_that_differ_in_other_characters_stay_different() -> None:
    found = scores_of([row(model="a@1"), row(model="a:1")], ["model"])
    assert len(found) == 2
    assert all(name.startswith("a_1/t/acc_") for name in found)


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "a\r=1", "../../x", "..", ".", "", "a//b", "/abs", "b/",
     "a/./b", "..b", "x" * 60_000, "x" * 189 + "/../y"],
)  # fmt: skip
def test_a_hostile_name_becomes_one_that_mlflow_takes_for_a_path(name: str) -> None:
    (found,) = scores_of([row(task=name, metric="")], [])
    assert posixpath.normpath(found) == found
    assert found.isascii()
    assert found.isprintable()
    assert not found.startswith(("..", "/", "=", "+", "@"))
    assert len(found) < 250
    (other,) = scores_of([row(task=f"{name} ", metric="")], [])
    assert other != found


def test_a_path_is_what_mlflow_takes_for_one() -> None:
    names = ["".join(signs) for size in range(6) for signs in itertools.product("a./", repeat=size)]
    # As mlflow.utils.validation.path_not_unique decides.
    taken = [
        name
        for name in names
        if posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))
    ]
    assert [name for name in names if is_path(name)] == taken
