"""Equal commands that start at the same time start one run."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.ledger.start_time import start_time
from snakeval.run import claim
from snakeval.run.find import Run, find, reserve
from snakeval.run.plan import Planned
from support.configs import VALID, config
from support.found import HOT, NOON, evaluations_of, run_of, started
from support.limits import HUNG
from support.machine import eventually
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


# --- a copy of a configuration, which joins a run that has started ------------------------------


def claim_of(run: Run) -> Path:
    return run.directory.path.parent / f".starting-{run.keys[0]}.json"


def taken_by(run: Run, pid: int) -> None:
    """Let the claim of *run* be of another process."""
    claimed = json.loads(claim_of(run).read_text())
    claim_of(run).write_text(json.dumps(claimed | {"pid": pid, "start": start_time(pid)}))


def is_later(run: Run, than: Run) -> None:
    """Let the claim of *run* be later than another one."""
    while claim_of(run).stat().st_ctime_ns <= claim_of(than).stat().st_ctime_ns:
        claim_of(run).chmod(0o644)


def both(directory: Path) -> tuple[Run, Run]:
    """A claimed run, and that of a copy of its configuration; the copy is later."""
    first = reserve(run_of(directory, VALID))
    copy = reserve(run_of(directory, VALID, file="copy/c.yaml"))
    assert copy.directory != first.directory
    is_later(copy, first)
    return first, copy


def test_a_copy_that_starts_at_the_same_time_waits_and_joins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, copy = both(tmp_path)
    taken_by(first, os.getppid())
    is_later(copy, first)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(copy.gives_way)
        eventually(lambda: not claim_of(copy).exists(), "it does not withdraw its claim")
        assert not waits.done()
        first.directory.make()
        (made,) = evaluations_of(VALID, tmp_path)
        first.directory.write_plan([Planned(made.model, made.benchmark, made.fingerprint)])
        first.start()
        assert waits.result(timeout=HUNG)
    assert "waits for a command that starts a run here" in capsys.readouterr().err
    assert run_of(tmp_path, VALID, file="copy/c.yaml").directory == first.directory


def test_a_copy_joins_a_run_that_started_between_its_search_and_its_claim(tmp_path: Path) -> None:
    copy = run_of(tmp_path, VALID, file="copy/c.yaml")
    first = started(reserve(run_of(tmp_path, VALID)), VALID, tmp_path)
    copy = reserve(copy)
    assert copy.gives_way()
    assert not claim_of(copy).exists()
    assert run_of(tmp_path, VALID, file="copy/c.yaml").directory == first.directory
    assert not reserve(run_of(tmp_path, HOT, "new", file="hot/c.yaml")).gives_way()


def test_the_earlier_one_of_two_copies_waits_for_none(tmp_path: Path) -> None:
    first, copy = both(tmp_path)
    taken_by(copy, os.getppid())
    is_later(copy, first)
    assert not first.gives_way()
    assert claim_of(first).exists()


@pytest.mark.parametrize("how", ["ended", "of this process", "planning for too long"])
def test_a_copy_waits_only_for_a_command_that_still_starts(tmp_path: Path, how: str) -> None:
    first, copy = both(tmp_path)
    taken_by(first, {"ended": gone(), "of this process": os.getpid()}.get(how, os.getppid()))
    if how == "planning for too long":
        os.utime(claim_of(first), times=(0, 0))
    is_later(copy, first)
    assert not copy.gives_way()
    assert claim_of(copy).exists()


@pytest.mark.parametrize(
    ("content", "choice"), [(VALID, "new"), (VALID | {"name": "other"}, None)], ids=["new", "name"]
)
def test_a_command_waits_only_for_a_run_that_it_may_join(
    tmp_path: Path, content: dict[str, object], choice: str | None
) -> None:
    other = reserve(run_of(tmp_path, content, choice, file="other/c.yaml"))
    copy = reserve(run_of(tmp_path, VALID))
    (path,) = {*(tmp_path / "out").iterdir()} - {claim_of(copy)}
    claimed = json.loads(path.read_text())
    assert claimed["name"] == other.directory.name
    path.write_text(json.dumps(claimed | {"pid": os.getppid(), "start": ""}))
    while claim_of(copy).stat().st_ctime_ns <= path.stat().st_ctime_ns:
        claim_of(copy).chmod(0o644)
    assert not copy.gives_way()
