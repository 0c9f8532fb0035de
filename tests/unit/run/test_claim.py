"""Equal commands that start at the same time start one run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.lease import Lease
from snakeval.run import claim
from snakeval.run.find import Run, reserve
from support.configs import VALID
from support.found import NOON, run_of, started
from support.limits import HUNG
from support.machine import eventually


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def reserved(run: Run, *, lasting: bool = False) -> Run:
    found = reserve(run, lasting=lasting)
    assert found is not None
    return found


def claimed(run: Run) -> str | None:
    return claim.claimed(run.directory.path.parent, run.joins, run.keys[0])


def left(directory: Path) -> list[Path]:
    return list((directory / "out").glob(".starting-*"))


def test_equal_commands_that_plan_at_the_same_time_start_one_run(tmp_path: Path) -> None:
    plans = [run_of(tmp_path, VALID, now=NOON + timedelta(seconds=n)) for n in range(8)]
    assert len({plan.id for plan in plans}) == 8
    with ThreadPoolExecutor(8) as pool:
        names = {run.directory.name for run in pool.map(reserved, plans)}
    assert len(names) == 1
    (name,) = names
    assert run_of(tmp_path, VALID, now=NOON + timedelta(minutes=1)).directory.name == name
    next(plan for plan in plans if plan.directory.name == name).start()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    late = [plan for plan in plans if plan.directory.name != name]
    assert [reserve(plan) for plan in late] == [None] * 7, "they planned before the start"
    assert not left(tmp_path)


def test_a_command_joins_a_run_that_another_one_has_claimed_and_not_yet_made(
    tmp_path: Path,
) -> None:
    first, second = (run_of(tmp_path, VALID) for _ in range(2))
    assert reserve(first) == first
    joined = reserved(second)
    assert (joined.id, joined.directory) == (first.id, first.directory)
    assert not joined.exists
    assert not joined.chosen, "its Snakemake finds the run again by itself"
    assert joined.keys == second.keys


def test_a_start_ends_no_claim_of_another_run(tmp_path: Path) -> None:
    first = reserved(run_of(tmp_path, VALID))
    new = reserved(run_of(tmp_path, VALID, "new"))
    new.start()
    assert claimed(first) == first.directory.name
    first.start()
    assert claimed(first) is None
    assert not left(tmp_path)


def test_commands_that_ask_for_a_new_run_each_have_one(tmp_path: Path) -> None:
    plans = [run_of(tmp_path, VALID, "new") for _ in range(2)]
    assert [reserve(plan) for plan in plans] == plans
    (name, _) = (plan.directory.name for plan in plans)
    assert run_of(tmp_path, VALID, name).directory.name == name, "the process that starts it"


def test_a_run_that_a_queued_job_starts_later_keeps_its_name_for_equal_commands(
    tmp_path: Path,
) -> None:
    late = run_of(tmp_path, VALID)
    queued = reserved(run_of(tmp_path, VALID), lasting=True)
    assert reserve(late) is None, "it searched before the promise"
    assert claimed(late) is None
    found = reserved(run_of(tmp_path, VALID, now=NOON + timedelta(days=1)))
    assert found.directory == queued.directory
    found.start()
    assert not left(tmp_path)


# --- claims of other processes ------------------------------------------------------------------

_OTHER = """\
import sys
from pathlib import Path
from snakeval.run import claim
root, identity, key, name = sys.argv[1:]
print(claim.claim(Path(root), identity, key, name, lambda: True), flush=True)
sys.stdin.read()
"""


class Other:
    """A process that has claimed a run, until it is killed."""

    def __init__(self, run: Run) -> None:
        root = run.directory.path.parent
        words = [str(root), run.joins, run.keys[0], run.directory.name]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OTHER, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline().strip() == run.directory.name

    def __enter__(self) -> Other:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_claim_of_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with Other(run_of(tmp_path, VALID)) as other:
        run = run_of(tmp_path, VALID, now=NOON + timedelta(days=1))
        assert run.directory == run_of(tmp_path, VALID).directory, "it shares the other's run"
        other.kill()
    assert reserve(run) == run
    assert claimed(run) == run.directory.name


@pytest.mark.parametrize("file", ["c.yaml", "copy/c.yaml"])
def test_no_command_trusts_a_claim_whose_holder_still_looks_for_runs(
    tmp_path: Path, file: str
) -> None:
    """Else it starts a run whose claim the holder withdraws because it joins another run."""
    holder, other = run_of(tmp_path, VALID), run_of(tmp_path, VALID, file=file)
    root = tmp_path / "out"

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Run | None]] = []

        def is_current() -> bool:
            waiting.append(pool.submit(reserve, other))
            assert claim.claimed(root, holder.joins, holder.keys[0]) is None
            assert run_of(tmp_path, VALID).directory != holder.directory
            assert not waiting[0].done()
            started(run_of(tmp_path, VALID, "new"), VALID, tmp_path)
            return False

        assert (
            claim.claim(root, holder.joins, holder.keys[0], holder.directory.name, is_current)
            is None
        )
        assert waiting[0].result(timeout=HUNG) is None, "it searches again, and finds the new run"
    assert not left(tmp_path)


def test_a_copy_that_starts_at_the_same_time_waits_and_joins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, copy = run_of(tmp_path, VALID), run_of(tmp_path, VALID, file="copy/c.yaml")
    with Other(first) as other, ThreadPoolExecutor(1) as pool:
        waits = pool.submit(reserve, copy)
        said = f"waits for process {other.process.pid} on "
        seen: list[str] = []

        def says_so() -> bool:
            seen.append(capsys.readouterr().err)
            return said in "".join(seen)

        eventually(says_so, "it does not wait")
        assert not waits.done()
        started(first, VALID, tmp_path)
        assert waits.result(timeout=HUNG) is None
    assert run_of(tmp_path, VALID, file="copy/c.yaml").directory == first.directory
    assert not left(tmp_path)


def test_a_copy_waits_for_no_command_that_was_killed(tmp_path: Path) -> None:
    copy = run_of(tmp_path, VALID, file="copy/c.yaml")
    with Other(run_of(tmp_path, VALID)) as other:
        other.kill()
        assert reserve(copy) == copy


def test_a_copy_joins_a_run_that_started_between_its_search_and_its_claim(tmp_path: Path) -> None:
    copy = run_of(tmp_path, VALID, file="copy/c.yaml")
    other = run_of(tmp_path, VALID | {"name": "other"}, file="other/c.yaml")
    reserved(other).start()
    assert reserve(copy) == copy, "a run that it cannot join changes nothing"
    claim.withdraw(tmp_path / "out", copy.joins)
    first = started(reserved(run_of(tmp_path, VALID)), VALID, tmp_path)
    assert reserve(copy) is None
    assert not left(tmp_path)
    assert run_of(tmp_path, VALID, file="copy/c.yaml").directory == first.directory


@pytest.mark.parametrize(
    ("content", "choice"), [(VALID, "new"), (VALID | {"name": "other"}, None)], ids=["new", "name"]
)
def test_a_command_waits_only_for_a_run_that_it_may_join(
    tmp_path: Path, content: dict[str, object], choice: str | None
) -> None:
    reserved(run_of(tmp_path, content, choice, file="other/c.yaml"))
    copy = run_of(tmp_path, VALID)
    assert reserve(copy) == copy


def test_a_process_that_did_not_start_its_run_may_claim_another_one(tmp_path: Path) -> None:
    reserved(run_of(tmp_path, VALID))
    copy = run_of(tmp_path, VALID, file="copy/c.yaml")
    assert reserve(copy) == copy
    assert claimed(copy) == copy.directory.name


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', '{"name": "../x"}'])
def test_a_damaged_claim_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(claim, "Lease", partial(Lease, heartbeat=0.01, stale=0.1))
    run = run_of(tmp_path, VALID)
    path = tmp_path / "out" / f".starting-{run.joins}.json"
    path.parent.mkdir()
    path.write_text(text)
    assert reserve(run) == run
    run.start()
    path.mkdir()
    other = run_of(tmp_path, VALID, file="copy/c.yaml")
    assert reserve(other) == other


def test_an_output_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    for choice in (None, "new"):
        run = run_of(tmp_path, VALID, choice)
        (tmp_path / "out").write_text("no directory")
        with pytest.raises(ConfigError, match=r"output_dir: .* cannot be written"):
            reserve(run)
        (tmp_path / "out").unlink()
