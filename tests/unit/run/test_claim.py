"""Equal commands that start at the same time start one run."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.run import claim
from snakeval.run.find import find, reserve
from support.configs import VALID, config
from support.found import NOON, run_of
from support.made import gone


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def test_equal_commands_that_plan_at_the_same_time_start_one_run(tmp_path: Path) -> None:
    plans = [run_of(tmp_path, VALID, now=NOON + timedelta(seconds=n)) for n in range(8)]
    assert len({plan.id for plan in plans}) == 8
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(reserve, plans))
    assert len(names) == 1
    (name,) = names
    assert run_of(tmp_path, VALID, now=NOON + timedelta(minutes=1)).directory.name == name
    next(plan for plan in plans if plan.directory.name == name).start()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert {reserve(plan) for plan in plans} == {name}, "one planned before the start, late"


def test_commands_that_ask_for_a_new_run_each_have_one(tmp_path: Path) -> None:
    plans = [run_of(tmp_path, VALID, "new") for _ in range(2)]
    assert [reserve(plan) for plan in plans] == [plan.directory.name for plan in plans]
    (name, _) = (plan.directory.name for plan in plans)
    assert run_of(tmp_path, VALID, name).directory.name == name, "the process that starts it"


def test_a_claim_whose_process_ended_long_ago_is_replaced(tmp_path: Path) -> None:
    run = run_of(tmp_path, VALID)
    reserve(run)
    (path,) = (tmp_path / "out").iterdir()
    claimed = json.loads(path.read_text())
    path.write_text(json.dumps(claimed | {"pid": gone()}))
    later = run_of(tmp_path, VALID, now=NOON + timedelta(days=1))
    assert reserve(later) == run.directory.name, "it ended just now; the name is as good as another"
    os.utime(path, times=(0, 0))
    fresh = find(config(tmp_path, VALID, output_dir=str(tmp_path / "elsewhere")), "new")
    name = claim.claim(tmp_path / "out", run.keys[0], fresh.directory.name, lambda: None)
    assert name == fresh.directory.name


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', '{"name": "../x"}'])
def test_a_damaged_claim_is_replaced(tmp_path: Path, text: str) -> None:
    run = run_of(tmp_path, VALID)
    reserve(run)
    (path,) = (tmp_path / "out").iterdir()
    path.write_text(text)
    again = run_of(tmp_path, VALID)
    name = claim.claim(tmp_path / "out", run.keys[0], again.directory.name, lambda: None, wait=0.1)
    assert name == again.directory.name
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be replaced"):
        claim.claim(tmp_path / "out", run.keys[0], again.directory.name, lambda: None, wait=0.1)
