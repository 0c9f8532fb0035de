"""The follower starts the newest ready step, and continues from the run alone.

Long because the world of a follower and all that happens in it are read together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from snakeval.config.config import Config
from snakeval.errors import ConfigError
from snakeval.follow.follower import REST_SECONDS, Follower
from snakeval.follow.schedule import Step
from snakeval.follow.sight import Seen
from snakeval.follow.until import Stop, Until

MODEL = {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}
BENCHMARK = {"harness": "generic", "command": "true"}
METRICS = {"file": "x.json", "values": {"s": {"value": "s"}}}


@dataclass
class Head:
    """A head that ends when the world says so."""

    pid: int
    code: int | None = None
    asked: bool = False

    def poll(self) -> int | None:
        return self.code

    def interrupt(self) -> None:
        self.asked, self.code = True, 1


@dataclass
class World:
    """A training, a run and a clock. Each wait plays the next event of a script."""

    script: list[Callable[[World], object]]
    now: float = 0.0
    ready: dict[str, str] = field(default_factory=dict)
    finished: set[tuple[str, str]] = field(default_factory=set)
    heads: dict[str, Head] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    elsewhere: list[frozenset[str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    changed: float = 0.0
    due: float | None = None
    look_seconds: float = 3.0

    # --- what the follower sees -----------------------------------------------------------

    @property
    def resting_since(self) -> float:
        return self.changed

    def look(self) -> Seen:
        newest = sorted(self.ready, key=lambda name: -int(name.partition("@")[2]))
        models = {name: {**MODEL, "member": member(name)} for name in newest}
        data = {"models": models, "benchmarks": {"b": {**BENCHMARK, "metrics": METRICS}}}
        config = Config.model_validate(data) if newest else None
        return Seen(config, tuple(Step(name, self.ready[name]) for name in newest))

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        if self.script:
            self.script.pop(0)(self)
            return True
        return False

    def unfinished(self, config: Config, models: Sequence[str]) -> Collection[str]:
        return [name for name in models if (name, self.ready[name]) not in self.finished]

    def why_failed(self, model: str) -> str:
        return "b: HTTP 401"

    def others(self, mine: Collection[int]) -> Sequence[frozenset[str]]:
        return list(self.elsewhere)

    shared: frozenset[str] = frozenset()
    noted: list[str] = field(default_factory=list)

    def lost(self, models: Collection[str]) -> Sequence[str]:
        return sorted(self.deleted - {*models})

    def note_waiting(self, config: Config, models: Sequence[str], done: Collection[str]) -> None:
        assert not {*models} & {*done}
        self.noted = list(models)

    def start(self, config: Config, models: Sequence[str]) -> Head:
        if self.refused.intersection(models):
            raise ConfigError("$KEY is not set")
        head = Head(len(self.started) + 1)
        for model in models:
            assert model in config.models
            self.started.append(model)
            self.heads[model] = head
        return head

    # --- what happens ---------------------------------------------------------------------

    def end(self, model: str, code: int = 0) -> None:
        if code == 0:
            self.finished.add((model, self.ready[model]))
        self.heads[model].code = code


def member(name: str) -> dict[str, Any]:
    series, _, step = name.partition("@")
    return {"series": series, "values": {"step": step}, "axis": "step"}


def writes(*steps: int, content: str = "c") -> Callable[[World], object]:
    return lambda world: world.ready.update({f"run7@{step}": content for step in steps})


def ends(step: int, code: int = 0) -> Callable[[World], object]:
    return lambda world: world.end(f"run7@{step}", code)


def passes(seconds: float) -> Callable[[World], object]:
    def play(world: World) -> None:
        world.now += seconds

    return play


def followed(world: World, until: Until | None = None, slots: int = 1, **keys: Any) -> bool:
    """Follow until the script ends, or an earlier end."""
    follower = Follower(
        world,
        world,
        slots,
        60.0,
        until or Until(),
        world.lines.append,
        clock=lambda: world.now,
        wall=lambda: world.now,
        **keys,
    )
    if until is None:
        world.script.append(lambda world: follower.stop(Stop.WITHOUT_HEADS))
    else:
        world.script.append(lambda world: pytest.fail("it does not end"))
    return follower.run()


def test_newest_ready_step_is_the_next() -> None:
    script = [writes(100, 200), writes(300), ends(200), ends(300), ends(100)]
    world = World(script)
    followed(world, slots=1)
    assert world.started == ["run7@200", "run7@300", "run7@100"]


def test_finished_steps_are_known_by_the_run_alone() -> None:
    script = [passes(1)] * 4
    world = World(script, ready={"run7@100": "c", "run7@200": "c", "run7@300": "c"})
    world.finished = {("run7@300", "c"), ("run7@100", "c")}
    followed(world)
    assert world.started == ["run7@200"]
    assert [line for line in world.lines if "ready" in line] == ["run7@200 is ready"]


def test_head_of_an_earlier_follower_holds_its_slot() -> None:
    def leaves(world: World) -> None:
        world.elsewhere.clear()
        world.finished.add(("run7@200", "c"))

    script = [passes(5)] * 3 + [leaves] + [passes(5)] * 3
    world = World(script, ready={"run7@100": "c", "run7@200": "c"})
    world.elsewhere = [frozenset({"run7@200"})]
    followed(world, slots=1)
    assert world.started == ["run7@100"]


def test_overwritten_step_runs_again_once_its_head_has_ended() -> None:
    script = [writes(100), writes(100, content="new"), passes(5), ends(100, 1), passes(5)]
    world = World(script)
    followed(world)
    assert world.started == ["run7@100", "run7@100"]
    assert "run7@100 was overwritten" in world.lines
    assert not any("failed" in line for line in world.lines)


def test_gone_step_is_reported_and_is_no_failure() -> None:
    def deletes(world: World) -> None:
        del world.ready["run7@100"]

    script = [writes(100, 200), passes(1), deletes, passes(5), ends(200), passes(5)]
    world = World(script)
    followed(world)
    assert world.started == ["run7@200"]
    assert "run7@100 is gone before it started" in world.lines
    assert world.noted == []


def test_step_that_waits_is_noted_for_the_next_follower() -> None:
    world = World([writes(100, 200, 300), passes(1), ends(300), passes(5)])
    followed(world)
    assert world.noted == ["run7@200", "run7@100"]


def test_checkpoint_that_disappeared_before_this_follower_is_reported() -> None:
    world = World([passes(5)] * 3, deleted={"run7@50"})
    followed(world)
    assert [line for line in world.lines if "gone" in line] == [
        "run7@50 is gone; finished results stay"
    ]


def test_shared_server_gets_all_ready_steps_and_keeps_what_it_finished() -> None:
    def one_is_done(world: World) -> None:
        world.finished.add(("run7@200", "c"))
        world.end("run7@100", 1)

    script = [writes(100, 200), writes(300), passes(1), one_is_done, passes(1)]
    world = World(script, shared=frozenset({"run7"}))
    followed(world, slots=3)
    assert world.started == ["run7@200", "run7@100", "run7@300"]
    assert "run7@200 is done" in world.lines
    assert any(line.startswith("run7@100 failed") for line in world.lines)


def test_failed_step_waits_and_the_pause_doubles() -> None:
    starts: list[float] = []

    def fails(world: World) -> None:
        if (head := world.heads.get("run7@100")) and head.code is None:
            starts.append(world.now)
            head.code = 1

    world = World([writes(100), *[fails] * 600])
    followed(world)
    assert any("@100 failed (exit code 1; b: HTTP 401); it starts" in each for each in world.lines)
    assert len(starts) >= 3
    for (before, after), pause in zip(pairwise(starts), (60, 120, 240), strict=False):
        assert pause <= after - before <= pause + 5


def test_start_that_fails_its_checks_pauses_and_another_starts() -> None:
    world = World([writes(100, 200), passes(1), passes(1)], refused={"run7@200"})
    followed(world)
    assert world.started == ["run7@100"]
    assert any("cannot start" in line and "$KEY" in line for line in world.lines)


def test_it_ends_with_a_step() -> None:
    script = [writes(100, 200), passes(1), ends(200), passes(1), ends(100)]
    world = World(script)
    assert followed(world, Until.read("200", None, None))  # type: ignore[arg-type]
    assert world.started == ["run7@200", "run7@100"]


def test_it_ends_at_a_time_and_starts_nothing_after_it() -> None:
    script = [writes(100, 200), passes(99), ends(200), passes(1)]
    world = World(script)
    assert followed(world, Until(time=90.0))
    assert world.started == ["run7@200"]


def test_it_ends_with_a_file_once_the_series_is_at_rest(tmp_path: Any) -> None:
    def file(world: World) -> None:
        (tmp_path / "END").touch()

    def rests(world: World) -> None:
        world.now = world.changed + REST_SECONDS

    script = [writes(100), file, ends(100), passes(1), writes(200), passes(1), ends(200), rests]
    world = World(script, changed=50.0)
    assert followed(world, Until(file=tmp_path / "END"))
    assert world.started == ["run7@100", "run7@200"]


def test_end_with_a_failed_step_is_no_success(tmp_path: Any) -> None:
    (tmp_path / "END").touch()
    fails = [passes(1), ends(100, 1), passes(100), passes(1), ends(100, 1), passes(1)]
    world = World([writes(100), passes(60), *fails])
    assert not followed(world, Until(file=tmp_path / "END"))
    assert world.started == ["run7@100", "run7@100"]
    assert world.lines[-1] == "not done: run7@100; the same command tries again"


@pytest.mark.parametrize("how", [Stop.WITH_HEADS, Stop.WITHOUT_HEADS])
def test_interrupt_ends_the_heads_and_termination_leaves_them(how: Stop) -> None:
    world = World([])
    follower = Follower(world, world, 1, 60.0, Until(), world.lines.append, clock=lambda: world.now)
    world.script = [writes(100), passes(1), lambda world: follower.stop(how)]
    assert not follower.run()
    assert world.heads["run7@100"].asked == (how is Stop.WITH_HEADS)
    assert (
        world.lines[-1]
        == {
            Stop.WITH_HEADS: "run7@100 is interrupted",
            Stop.WITHOUT_HEADS: "run7@100 continues as process 1",
        }[how]
    )
    assert not any("failed" in line or "starts again" in line for line in world.lines)


def test_follower_that_lost_its_lease_starts_nothing() -> None:
    world = World([], ready={"run7@100": "c"})
    assert not followed(world, is_mine=lambda: False)
    assert world.started == []
