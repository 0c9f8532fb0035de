"""Loading a configuration expands its series once, and reports what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.endpoints import Endpoint
from snakeval.config.load import load
from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from snakeval.matrix.facts import Facts
from snakeval.series.load import Expansion
from support.checkpoints import checkpoint
from support.configs import COMMAND, MODEL, write

SERVED = {"kind": "generic", "command": "serve"}
#: Long after the files of a test changed.
LATER: Callable[[], float] = (4e9).__float__


def series(pattern: str = "train/step-{step}", **keys: Any) -> dict[str, Any]:
    return {"deployment": SERVED, "checkpoints": {"pattern": pattern, **keys}}


def written(directory: Path, **models: Any) -> Path:
    return write(directory, {"models": models, "benchmarks": {"b": COMMAND}})


def test_a_start_waits_once_for_all_series(tmp_path: Path) -> None:
    for name in ("a-1", "b-1", "c-1"):
        checkpoint(tmp_path / name)
    (tmp_path / "c-1/done").touch()
    a, b, c = series("a-{s}"), series("b-{s}"), series("c-{s}", ready="done")
    file = written(tmp_path, a=a, b=b, c=c)
    waited: list[float] = []
    config, _, _ = load([file], {}, Expansion(waits=True, sleep=waited.append))
    assert list(config.models) == ["a@1", "b@1", "c@1"]
    assert waited == [5.0]


def test_a_configuration_without_series_costs_nothing(tmp_path: Path) -> None:
    def fail(*arguments: object) -> Any:
        raise AssertionError

    config, _, _ = load([written(tmp_path, m=MODEL)], {}, Expansion(True, fail, fail, fail, fail))
    assert list(config.models) == ["m"]


def test_notes_list_what_is_left_out(tmp_path: Path) -> None:
    for step in range(1, 9):
        (tmp_path / f"train/step-{step}").mkdir(parents=True)
    checkpoint(tmp_path / "train/step-9")
    said: list[str] = []
    load([written(tmp_path, run7=series())], {}, Expansion(False, said.append, clock=LATER))
    assert said == [
        "Series run7: 1 checkpoint, 8 left out",
        *(f"  run7@{n}: not settled yet: config.json is missing" for n in range(1, 6)),
        "  and 3 more",
    ]


def test_a_command_chooses_a_series_or_one_checkpoint(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(tmp_path / f"train/step-{step}")
    (tmp_path / "train/step-3").mkdir()
    file = written(tmp_path, run7=series(), m=MODEL, empty=series("none/{step}"))

    def chosen(models: str) -> tuple[str, ...] | None:
        return load([file], {"models": models}, Expansion(False, clock=LATER))[1].models

    assert chosen("run7,m") == ("run7@2", "run7@1", "m")
    assert chosen("run7@2") == ("run7@2",)
    for models, why in (
        ("run7@3", "'run7@3' is left out: not settled yet: config.json is missing"),
        (
            "empty",
            f"'empty' is left out: no directory matches {tmp_path}/none/{{step}}: ",
        ),
        ("run7@4", "no 'run7@4' in the configuration; did you mean 'run7@"),
    ):
        with pytest.raises(ConfigError) as error:
            chosen(models)
        assert str(error.value).startswith(f"--config models: {why}")


def test_a_pattern_without_a_match_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    file, pattern = written(tmp_path, run7=series()), f"{tmp_path}/train/step-{{step}}"
    with pytest.raises(ConfigError) as error:
        load([file], {}, Expansion(True))
    assert str(error.value) == (
        f"{file}: models.run7.checkpoints.pattern: no directory matches {pattern}: "
        f"{tmp_path}/train has no step-{{step}}; correct the pattern, or start `snakeval follow`, "
        "which waits for a checkpoint"
    )
    said: list[str] = []
    load([written(tmp_path, run7=series(), m=MODEL)], {}, Expansion(True, said.append))
    assert said == [
        "Series run7: 0 checkpoints",
        f"  no directory matches {pattern}: {tmp_path}/train has no step-{{step}}",
    ]


def test_only_who_may_ask_an_endpoint_finds_its_models(tmp_path: Path) -> None:
    run8 = {"endpoint": {"url": "http://host/v1"}, "checkpoints": {"pattern": "org/run8-{step}"}}
    file = written(tmp_path, run8=run8, m=MODEL)
    asked: list[str] = []

    def listed(name: str, endpoint: Endpoint) -> list[str]:
        asked.append(f"{name} {endpoint.url}")
        return ["org/run8-2", "org/run9-1", "org/run8-11"]

    config, _, _ = load([file], {}, Expansion(True, listed=listed))
    assert list(config.models) == ["run8@11", "run8@2", "m"]
    assert asked == ["run8 http://host/v1"]
    said: list[str] = []
    assert list(load([file], {}, Expansion(False, said.append))[0].models) == ["m"]
    assert said == [
        "Series run8: 0 checkpoints, 1 left out",
        "  run8@*: a dry run asks its endpoint for models only with --check",
    ]


def test_equal_weights_under_two_steps_have_one_fingerprint(tmp_path: Path) -> None:
    for step, weights in ((1, b"same"), (2, b"same"), (3, b"else")):
        checkpoint(tmp_path / f"train/step-{step}", weights)
    asked = COMMAND | {"command": "ask {{ url }}"}
    file = write(tmp_path, {"models": {"run7": series()}, "benchmarks": {"b": asked}})
    config, _, _ = load([file], {}, Expansion(False, clock=LATER))
    found = {each.model: each.fingerprint for each in expand(config, Facts(reads=True))}
    assert found["run7@1"] == found["run7@2"] != found["run7@3"]


def test_other_steps_are_not_looked_at(tmp_path: Path) -> None:
    checkpoint(tmp_path / "train/step-100")
    (tmp_path / "train/step-150").mkdir()
    said: list[str] = []
    file = written(tmp_path, run7=series(every=100))
    load([file], {}, Expansion(False, said.append, clock=LATER))
    assert said == ["Series run7: 1 checkpoint, 1 left out", "  run7@150: every is 100"]
