"""The look that finds a checkpoint is its first, and a change begins the wait again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snakeval.follow.looks import Looks, is_gone
from snakeval.series.ready import APART
from snakeval.serving.weights import by_stat, files_of
from support.checkpoints import checkpoint, safetensors


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_second_look_after_five_seconds_makes_it_ready(tmp_path: Path, clock: Clock) -> None:
    looks, path = Looks(clock), str(checkpoint(tmp_path / "1"))
    assert looks.due is None
    assert looks.look([path])[path].judged.why_not == "not settled yet: at rest for 0 of 5 s"
    assert looks.due == clock.now + APART
    clock.now += APART - 0.1
    assert looks.look([path])[path].judged.why_not
    clock.now += 0.1
    assert looks.look([path])[path].judged.why_not == ""
    assert looks.due is None


def test_change_between_the_looks_begins_again(tmp_path: Path, clock: Clock) -> None:
    path = checkpoint(tmp_path / "1")
    looks = Looks(clock)
    first = looks.look([str(path)])[str(path)]
    clock.now += APART
    (path / "model.safetensors").write_bytes(safetensors({"a": b"other"}))
    second = looks.look([str(path)])[str(path)]
    assert second.judged.why_not
    assert second.content != first.content
    assert looks.due == clock.now + APART == looks.resting_since + APART
    clock.now += APART
    assert not looks.look([str(path)])[str(path)].judged.why_not


def test_half_written_file_is_never_ready(tmp_path: Path, clock: Clock) -> None:
    path = checkpoint(tmp_path / "1")
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[:-1])
    looks = Looks(clock)
    for _ in range(3):
        found = looks.look([str(path)])[str(path)]
        assert found.judged.why_not.startswith("not settled yet: model.safetensors has")
        clock.now += APART
    assert looks.due is None


def test_marker_makes_it_ready_at_once_and_a_later_change_waits(
    tmp_path: Path, clock: Clock
) -> None:
    path = checkpoint(tmp_path / "1")
    looks = Looks(clock)
    assert looks.look([str(path)], "DONE")[str(path)].judged.why_not
    (path / "DONE").touch()
    assert not looks.look([str(path)], "DONE")[str(path)].judged.why_not
    (path / "model.safetensors").write_bytes(safetensors({"a": b"other"}))
    assert looks.look([str(path)], "DONE")[str(path)].judged.why_not
    clock.now += APART
    assert not looks.look([str(path)], "DONE")[str(path)].judged.why_not


def test_settled_checkpoint_is_listed_and_not_judged_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, path = Looks(clock), str(checkpoint(tmp_path / "1"))
    looks.look([path])
    clock.now += APART
    looks.look([path])
    monkeypatch.setattr("snakeval.follow.looks.judge", None)
    assert not looks.look([path])[path].judged.why_not


def test_unchanged_checkpoint_of_an_earlier_head_is_ready_at_the_first_look(
    tmp_path: Path, clock: Clock
) -> None:
    path = checkpoint(tmp_path / "1")
    settled = {str(path): by_stat(files_of(path))}
    (first,) = Looks(clock, settled=settled).look([str(path)]).values()
    assert not first.judged.why_not
    (path / "model.safetensors").write_bytes(safetensors({"a": b"other weights"}))
    (changed,) = Looks(clock, settled=settled).look([str(path)]).values()
    assert changed.judged.why_not
    (path / "model.safetensors").write_bytes(b"half")
    (half,) = Looks(clock, settled={str(path): ""}).look([str(path)]).values()
    assert half.judged.why_not


def test_deleted_checkpoint_is_gone_and_starts_again(tmp_path: Path, clock: Clock) -> None:
    looks, path = Looks(clock), checkpoint(tmp_path / "1")
    looks.look([str(path)])
    shutil.rmtree(path)
    assert is_gone(looks.look([str(path)])[str(path)])
    looks.forget([])
    checkpoint(path)
    clock.now += APART
    assert looks.look([str(path)])[str(path)].judged.why_not
