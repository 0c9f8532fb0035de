"""How long harnesses and servers ran, whoever was killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from snakeval.evaluation import timings
from snakeval.evaluation.timings import Use


def test_a_use_is_as_long_as_its_context_whatever_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), timings.use(tmp_path, tmp_path / "log", gpus=2):
        raise RuntimeError
    timings.add(tmp_path, 60)
    first, second = timings.read(tmp_path, tmp_path) or ()
    assert first.gpus == 2
    assert 0 <= first.seconds < 5
    assert second == Use(60)


def test_one_that_was_killed_was_as_long_as_its_log_says_wherever_that_was_moved(
    tmp_path: Path,
) -> None:
    (tmp_path / timings.FILE).write_text(
        json.dumps({"use": "a", "started": 1000.0, "gpus": 1, "log": "attempt-1.log"}) + "\n"
    )
    moved = tmp_path / "attempts/1/logs/attempt-1.log"
    moved.parent.mkdir(parents=True)
    moved.touch()
    os.utime(moved, (1090, 1090))
    assert timings.read(tmp_path, tmp_path) == [Use(90.0, 1)]
    moved.unlink()
    assert timings.read(tmp_path, tmp_path) is None


def test_what_was_never_noted_is_not_known(tmp_path: Path) -> None:
    assert timings.read(tmp_path, tmp_path) is None


def test_where_it_cannot_be_noted_nothing_fails(tmp_path: Path) -> None:
    with timings.use(tmp_path / "absent", tmp_path / "log"):
        pass
    assert not (tmp_path / "absent").exists()
