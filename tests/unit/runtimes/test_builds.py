"""Builds of environments: which there are, and which may be removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.lease import Lease
from snakeval.runtimes.builds import Build, builds, remove, size


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    (tmp_path / "envs/lm-eval-1/one").mkdir(parents=True)
    (tmp_path / "envs/lm-eval-1/current").symlink_to("one")
    (found,) = builds()
    return found


def test_the_current_build_is_known(build: Build) -> None:
    assert (build.environment, build.is_current, build.is_used) == ("lm-eval-1", True, False)


def test_a_current_build_is_only_removed_on_purpose(build: Build) -> None:
    assert not remove(build, also_current=False)
    assert build.path.exists()
    assert remove(build, also_current=True)
    assert list(build.path.parent.iterdir()) == []


def test_a_build_stays_while_another_process_has_the_lease(build: Build) -> None:
    with Lease(build.path.parent / "lease"):
        assert not remove(build, also_current=True, heartbeat=0.01)
    assert build.path.exists()


def test_a_build_that_became_used_stays(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([str(build.path)])
    monkeypatch.setattr("snakeval.runtimes.builds.used_environments", lambda: used)
    assert not remove(build, also_current=True)
    assert build.path.exists()


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(9000))
    once = size(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    assert 9000 <= once == size(tmp_path)
