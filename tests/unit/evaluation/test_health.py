"""Health is plain data that survives a file, another version, and damage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snakeval.evaluation.health import HEALTH_VERSION, Answers, Health

FULL = Health(
    {
        "m": Answers(
            asked=3, answered=2, given_up=1, cut=0, names={"m-1": 2}, seconds=4.0,
            tokens={"completion": 20}, whole={"median": 0.5, "p95": 0.9},
            examples={"cut": ("abc", "abd-2")},
        )
    },
    samples=60,
    unparsed=0,
)  # fmt: skip


def test_it_survives_json() -> None:
    data = json.loads(json.dumps(FULL.as_dict()))
    assert data["version"] == HEALTH_VERSION
    assert Health.from_dict(data) == FULL
    assert Health.read(data) == FULL


def test_what_is_unknown_is_not_written_and_zero_is() -> None:
    data = FULL.as_dict()["models"]["m"]
    assert "error" not in data
    assert data["cut"] == 0
    assert Health.from_dict(FULL.as_dict()).models["m"].error is None


def test_rates_are_unknown_without_a_time() -> None:
    answers = FULL.models["m"]
    assert (answers.requests_per_second, answers.tokens_per_second) == (0.5, 5.0)
    assert Answers(answered=2).requests_per_second is None
    assert Answers(seconds=2.0).tokens_per_second is None


@pytest.mark.parametrize(
    "data", [[], "x", {"models": 3}, {"models": {"m": 3}}, {"models": {"m": {"cut": "x"}}}]
)
def test_damaged_health_is_unknown(data: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Health.from_dict(data)
    if data:
        assert "damaged" in Health.read(data).unknown


def test_fields_of_other_versions_are_no_damage() -> None:
    data = {**FULL.as_dict(), "later": 1}
    data["models"]["m"]["later"] = 2
    assert Health.from_dict(data) == FULL


def test_a_record_without_health_has_a_reason() -> None:
    assert "earlier snakeval" in Health.read(None).unknown
