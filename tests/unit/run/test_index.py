"""Which runs there are on this machine, and which heads are at them."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.run import heads as index
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import enter, heads, leave
from snakeval.run.index import Entry, entries, find, remember
from support.made import gone


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make(directory: Path, name: str) -> Path:
    """A run's directory that the registry knows."""
    run = directory / name
    (run / ".snakeval").mkdir(parents=True)
    (run / ".snakeval/run.json").write_text("{}")
    remember(Entry(name[20:], "n", str(run), str(directory), ("snakemake", "a b"), "1"))
    return run


def test_runs_in_any_directory_are_listed_newest_first(tmp_path: Path) -> None:
    make(tmp_path / "x", "2026-01-01-00-00-00-aaaaaaaa")
    make(tmp_path / "y", "2026-01-02-00-00-00-bbbbbbbb")
    assert [entry.id for entry in entries()] == ["bbbbbbbb", "aaaaaaaa"]
    assert entries()[0].started == datetime(2026, 1, 2)


def test_only_runs_started_within_the_given_time_are_listed(tmp_path: Path) -> None:
    make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    make(tmp_path, f"{datetime.now():%Y-%m-%d-%H-%M-%S}-bbbbbbbb")
    assert [entry.id for entry in entries(timedelta(hours=1))] == ["bbbbbbbb"]


def test_what_is_no_entry_is_passed_over(tmp_path: Path, home: Path) -> None:
    run = make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    good = json.loads((home / f"runs/{run.name}.json").read_text())
    for number, text in enumerate(
        ["{", "[]", "{}", json.dumps({**good, "new": 1}), json.dumps({**good, "directory": "/x"})]
    ):
        (home / f"runs/{number}.json").write_text(text)
    assert [entry.id for entry in entries()] == ["aaaaaaaa"]


@pytest.mark.parametrize(
    "wanted", ["aaaaaaaa", "aa", "2026-01-01", "2026-01-01-00-00-00-aaaaaaaa", "PATH"]
)
def test_a_run_is_found_by_id_name_beginning_or_directory(tmp_path: Path, wanted: str) -> None:
    run = make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    make(tmp_path, "2026-01-02-00-00-00-ab000000")
    assert find(wanted if wanted != "PATH" else str(run)).path == run


@pytest.mark.parametrize("wanted", ["aaaaaaaa", "aaa"])
def test_an_id_that_two_old_runs_share_is_an_error_with_their_dates(
    tmp_path: Path, wanted: str
) -> None:
    older = make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    make(tmp_path, "2026-01-02-00-00-00-aaaaaaaa")
    with pytest.raises(ConfigError) as error:
        find(wanted)
    assert str(error.value) == (
        f"{wanted}: fits several runs (2026-01-02-00-00-00-aaaaaaaa, started 2026-01-02 00:00:00; "
        "2026-01-01-00-00-00-aaaaaaaa, started 2026-01-01 00:00:00); write more of one"
    )
    assert find(older.name).path == find("2026-01-01").path == older


def test_a_run_that_was_moved_is_found_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    moved = run.rename(tmp_path / "home" / run.name)
    found = find(str(moved))
    assert (found.id, found.path) == ("aaaaaaaa", moved)
    monkeypatch.chdir(moved)
    assert find(".").path == moved


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("a", "a: fits several runs (2026-01-02-00-00-00-ab000000, started 2026-01-02 00:00:00; "),
        ("aaaaaaab", "aaaaaaab: no such run; did you mean 'aaaaaaaa'"),
        ("xyz", "xyz: no such run; `snakeval ls runs` lists them"),
        ("cc", "cc: its directory GONE is gone; if it was moved, name the directory where it is"),
        ("x\ny", "x‹U+000A›y: no such run"),
        ("", ": fits several runs"),
        (".", ".: no such run"),
        ("/nonexistent/x", "/nonexistent/x: no such run"),
    ],
)
def test_an_argument_that_matches_no_single_run_fails_with_one_sentence(
    tmp_path: Path, wanted: str, told: str
) -> None:
    make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa")
    make(tmp_path, "2026-01-02-00-00-00-ab000000")
    gone_run = make(tmp_path, "2026-01-03-00-00-00-cccccccc")
    gone_run.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError) as error:
        find(wanted)
    assert str(error.value).startswith(told.replace("GONE", str(gone_run)))
    assert "\n" not in str(error.value)


def test_without_any_run_the_error_states_it() -> None:
    with pytest.raises(ConfigError, match="none was started on this machine yet"):
        find("aaaaaaaa")


def test_a_run_s_directory_with_another_name_fails(tmp_path: Path) -> None:
    make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa").rename(tmp_path / "renamed")
    with pytest.raises(ConfigError, match="is no run's directory"):
        find(str(tmp_path / "renamed"))


# --- heads --------------------------------------------------------------------------------------


def head(run: RunDirectory, **changes: object) -> None:
    enter(run, ["snakemake"])
    (path,) = run.head_files()
    data = {**json.loads(path.read_text()), **changes}
    path.rename(path.with_name(f"{data['host']}-{data['pid']}.json"))
    path.with_name(f"{data['host']}-{data['pid']}.json").write_text(json.dumps(data))


def test_a_head_is_at_a_run_until_it_leaves(tmp_path: Path) -> None:
    run = RunDirectory(make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa"))
    assert heads(run) == []
    enter(run, ["snakemake", "--cores", "2"])
    (found,) = heads(run)
    assert (found.pid, found.lives, found.command) == (os.getpid(), True, "snakemake --cores 2")
    assert run.head_file(found.host, found.pid).exists()
    leave(run)
    assert heads(run) == []


def test_a_head_that_was_killed_is_none(tmp_path: Path) -> None:
    run = RunDirectory(make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa"))
    head(run, pid=gone())
    assert heads(run) == []


def test_a_pid_that_another_process_has_by_now_is_no_head(tmp_path: Path) -> None:
    run = RunDirectory(make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa"))
    head(run, start="not its start")
    assert heads(run) == []


def test_of_a_head_on_another_host_it_is_not_known(tmp_path: Path) -> None:
    run = RunDirectory(make(tmp_path, "2026-01-01-00-00-00-aaaaaaaa"))
    head(run, host=f"not-{socket.gethostname()}", boot="another")
    assert [found.lives for found in index.heads(run)] == [None]
