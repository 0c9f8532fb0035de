"""Names of scores at destinations."""

from __future__ import annotations

from typing import Any

import pytest

from snakeval.exporters.scores import scores_of


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
