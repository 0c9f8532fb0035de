"""Differences that change nothing are removed."""

from __future__ import annotations

import pytest

from snakeval.evaluation.canonical import shared_params


@pytest.mark.parametrize(
    "written", [{"limit_samples": None}, {"extra": {}}, {"parallelism": 9}, {"temperature": None}]
)
def test_a_default_that_is_written_out_makes_no_other_run(written: dict[str, object]) -> None:
    assert shared_params({"seed": 1, **written}) == shared_params({"seed": 1})
    assert shared_params({"seed": 1, "limit_samples": 5}) != shared_params({"seed": 1})
