"""A change in a folder is an event, and the follower has a watch before it looks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.follow.looks import Looks
from snakeval.follow.sight import Series
from snakeval.follow.watch import LOOK_SECONDS, SAFETY_SECONDS, Watch
from snakeval.follow.watched import ASK_SECONDS, WatchedSeries
from snakeval.series.ready import APART
from support.checkpoints import checkpoint
from support.configs import COMMAND
from support.limits import HUNG

SERVED = {"kind": "generic", "command": "serve {{ port }}"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(model: dict[str, Any], clock: Clock, kind: str = "ext4") -> WatchedSeries:
    config = Config.model_validate({"models": {"run7": model}, "benchmarks": {"b": COMMAND}})
    looks = Looks(clock)
    series = Series(config, looks, lambda name, endpoint: ["run7-1"])
    return WatchedSeries(series, looks, Watch(file_system=lambda folder: kind), clock)


def trained(tmp_path: Path) -> dict[str, Any]:
    return {"checkpoints": {"pattern": f"{tmp_path}/step-{{step}}"}, "deployment": SERVED}


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_checkpoint_wakes_the_follower_and_is_ready_after_the_second_look(tmp_path: Path) -> None:
    clock = Clock()
    sights = watched(trained(tmp_path), clock)
    assert sights.look().steps == ()
    assert sights.look_seconds == SAFETY_SECONDS
    clock.now = 0.2
    sights.look()
    assert sights.due is None
    checkpoint(tmp_path / "step-1")
    assert sights.wait(HUNG)
    assert sights.look().waiting
    assert sights.due == clock.now + APART
    clock.now += APART
    assert [step.model for step in sights.look().steps] == ["run7@1"]
    assert not sights.wait(0)


def test_network_file_system_is_looked_at_every_few_seconds(tmp_path: Path) -> None:
    sights = watched(trained(tmp_path), Clock(), "nfs4")
    sights.look()
    assert sights.look_seconds == LOOK_SECONDS


def test_endpoint_is_asked_now_and_then() -> None:
    endpoint = {"url": "http://127.0.0.1:1/v1"}
    sights = watched({"checkpoints": {"pattern": "run7-{step}"}, "endpoint": endpoint}, Clock())
    assert [step.model for step in sights.look().steps] == ["run7@1"]
    assert sights.look_seconds <= ASK_SECONDS
    assert sights.shared == frozenset()


@pytest.mark.parametrize("keys", [{"swap": True}, {"hf_model_handle": "org/base"}])
def test_one_server_for_a_series(tmp_path: Path, keys: dict[str, Any]) -> None:
    model = trained(tmp_path) | {"deployment": {"kind": "vllm", **keys}}
    assert watched(model, Clock()).shared == {"run7"}
