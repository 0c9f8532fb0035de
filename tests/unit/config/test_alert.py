"""`alert` of a benchmark: its conditions, its targets, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from snakeval.config.alert import Alert


def test_a_drop_is_true_or_a_size() -> None:
    assert Alert.model_validate({"drop": True}).drop is True
    assert Alert.model_validate({"drop": 0.05}).drop == 0.05
    one = Alert.model_validate({"drop": 1}).drop
    assert (one, isinstance(one, bool)) == (1.0, False)


def test_targets_are_those_that_are_written() -> None:
    given = {"reached": 0.0, "command": ["mail", "-s", "x"], "webhook": "SLACK_URL"}
    assert Alert.model_validate(given).targets == ("command", "webhook")
    assert Alert.model_validate({"failures": True, "command": "cat"}).targets == ("command",)
    assert Alert.model_validate({"no_checkpoint": 90}).targets == ()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"webhook": "SLACK_URL"}, "has no condition"),
        ({"drop": False}, "has no condition"),
        ({"drop": 0}, "greater than 0"),
        ({"drop": -1.0}, "greater than 0"),
        ({"reached": float("nan")}, "finite"),
        ({"reached": True}, "true or false in YAML"),
        ({"no_checkpoint": 0}, "greater than 0"),
        ({"failures": True, "command": []}, "at least 1"),
        ({"failures": True, "command": ""}, "at least 1"),
        ({"failures": True, "webhook": "https://hooks.slack.com/services/T0/B0/x"}, "never its"),
        ({"falures": True}, "unknown key 'falures'"),
    ],
)
def test_a_wrong_alert_has_a_sentence(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Alert.model_validate(given)
