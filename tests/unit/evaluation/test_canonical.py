"""Differences that change nothing are removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.evaluation.canonical import shared_params
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config


@pytest.mark.parametrize(
    "written", [{"limit_samples": None}, {"extra": {}}, {"parallelism": 9}, {"temperature": None}]
)
def test_a_default_that_is_written_out_makes_no_other_run(written: dict[str, object]) -> None:
    assert shared_params({"seed": 1, **written}) == shared_params({"seed": 1})
    assert shared_params({"seed": 1, "limit_samples": 5}) != shared_params({"seed": 1})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"temperature": 0}, {"temperature": 0.0}, True),
        ({"max_new_tokens": 256}, {"max_new_tokens": 256.0}, True),
        # A harness gets the text of an extra parameter, and `5.0` may be an error to it.
        ({"extra": {"k": 5}}, {"extra": {"k": 5.0}}, False),
    ],
)
def test_a_number_has_as_many_forms_as_the_harness_sees(
    tmp_path: Path, one: dict[str, object], other: dict[str, object], same: bool
) -> None:
    def fingerprint(params: dict[str, object]) -> str:
        rows = {"models": {"m": MODEL}, "benchmarks": {"b": {**COMMAND, "params": params}}}
        return expand(config(tmp_path, rows))[0].fingerprint

    assert (fingerprint(one) == fingerprint(other)) is same
