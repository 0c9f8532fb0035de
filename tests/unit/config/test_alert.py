"""`alert` of a benchmark: its conditions, its targets, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from snakeval.config.alert import Alert
from snakeval.errors import ConfigError
from support.configs import MODEL, config
from support.sampled import BENCHMARK


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


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"drop": "yes"}, "drop: must be a valid boolean, or a valid number"),
        ({"drop": 0}, "drop: must be a valid boolean, or greater than 0 (it is 0)"),
        ({"command": 3}, "command: must be a valid string, or a list (it is 3)"),
        ({"command": ["mail", 3]}, "command.1: input should be a valid string (it is 3)"),
        ({"command": []}, "command: is empty; add at least one"),
    ],
)
def test_a_value_of_several_types_has_one_problem_at_its_own_key(
    tmp_path: Path, given: dict[str, Any], problem: str
) -> None:
    alert = {"failures": True, **given}
    content = {"models": {"m": MODEL}, "benchmarks": {"b": {**BENCHMARK, "alert": alert}}}
    with pytest.raises(ConfigError) as error:
        config(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path}/c.yaml: benchmarks.b.alert.{problem}")
    assert len(error.value.problems) == 1


def test_bare_scores_cannot_alarm_for_a_drop(tmp_path: Path) -> None:
    def is_blind(drop: bool, samples: bool, value: Any) -> bool:
        metrics = {**BENCHMARK["metrics"], "values": {"acc": value}}
        metrics = metrics if samples else {k: v for k, v in metrics.items() if k != "samples"}
        alert = {"drop": drop, "failures": True}
        benchmark = {**BENCHMARK, "metrics": metrics, "alert": alert}
        made = config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": benchmark}})
        return made.benchmarks["b"].is_blind

    assert is_blind(True, False, "acc")
    assert not is_blind(False, False, "acc")
    assert not is_blind(True, True, "acc")
    assert not is_blind(True, False, {"value": "acc", "n": "n"})
