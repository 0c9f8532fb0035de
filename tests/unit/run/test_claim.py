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
        names = {run.directory.name for run in pool.map(reserve, plans)}
    assert len(names) == 1
    (name,) = names
    assert run_of(tmp_path, VALID, now=NOON + timedelta(minutes=1)).directory.name == name
    next(plan for plan in plans if plan.directory.name == name).start()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert {reserve(plan).directory.name for plan in plans} == {name}, (
        "one planned before the start, late"
    )


def test_a_command_joins_a_run_that_another_one_has_claimed_and_not_yet_made(
    tmp_path: Path,
) -> None:
    first, second = (run_of(tmp_path, VALID) for _ in range(2))
    assert reserve(first) == first
    joined = reserve(second)
    assert (joined.id, joined.directory) == (first.id, first.directory)
    assert not joined.exists
    assert not joined.chosen, "its Snakemake finds the run again by itself"
    assert joined.keys == second.keys


def test_a_run_that_has_started_counts_more_than_a_claim(tmp_path: Path) -> None:
    first, late, last = (run_of(tmp_path, VALID) for _ in range(3))
    first.start()
    root, key = tmp_path / "out", first.keys[0]
    claim.claim(root, key, late.directory.name, lambda: None)  # and it withdraws the claim later
    assert reserve(last).directory == first.directory


def test_a_start_ends_no_claim_of_another_run(tmp_path: Path) -> None:
    first = reserve(run_of(tmp_path, VALID))
    run_of(tmp_path, VALID, "new").start()
    assert claim.claimed(tmp_path / "out", first.keys[0]) == first.directory.name
    first.start()
    assert claim.claimed(tmp_path / "out", first.keys[0]) is None


def test_commands_that_ask_for_a_new_run_each_have_one(tmp_path: Path) -> None:
    plans = [run_of(tmp_path, VALID, "new") for _ in range(2)]
    assert [reserve(plan) for plan in plans] == plans
    (name, _) = (plan.directory.name for plan in plans)
    assert run_of(tmp_path, VALID, name).directory.name == name, "the process that starts it"


def test_a_claim_whose_process_ended_long_ago_is_replaced(tmp_path: Path) -> None:
    run = run_of(tmp_path, VALID)
    reserve(run)
    (path,) = (tmp_path / "out").iterdir()
    claimed = json.loads(path.read_text())
    path.write_text(json.dumps(claimed | {"pid": gone()}))
    later = run_of(tmp_path, VALID, now=NOON + timedelta(days=1))
    name = reserve(later).directory.name
    assert name == run.directory.name, "it ended just now; the name is as good as another"
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
