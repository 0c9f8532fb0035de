"""Which directory a run lives in, and which commands share it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import digest
from snakeval.run import find as find_module
from snakeval.run.directory import RunDirectory
from snakeval.run.find import OtherDefinitionError, Run, find, identity, reserve
from snakeval.run.plan import Planned
from support.configs import COMMAND, MODEL, VALID, changed, config
from support.found import HOT, NOON, evaluations_of, run_of, started


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SNAKEVAL_HOME", str(home))
    return home


@pytest.fixture
def first(tmp_path: Path) -> Run:
    return started(run_of(tmp_path, VALID), VALID, tmp_path)


def test_finding_a_run_makes_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, VALID)
    assert run.directory.name == f"2026-11-24-12-00-00-{run.id}"
    assert not run.exists
    assert not (tmp_path / "out").exists()


def test_ids_of_new_runs_are_unique_and_no_numbers(tmp_path: Path) -> None:
    ids = [run_of(tmp_path, VALID, "new").id for _ in range(200)]
    assert len({*ids}) == 200
    assert all({*id} & {*"abcdf"} for id in ids), "--config would read 1e234567 as a number"


def test_the_same_configuration_continues_its_newest_run(tmp_path: Path, first: Run) -> None:
    later = NOON + timedelta(days=1)
    second = started(run_of(tmp_path, VALID, "new", now=later), VALID, tmp_path)
    assert first.id != second.id
    assert run_of(tmp_path, VALID).directory == second.directory
    assert run_of(tmp_path, VALID, first.directory.name).directory == first.directory
    assert run_of(tmp_path, VALID, first.id).directory == first.directory


def test_the_newest_run_is_the_one_that_started_last_also_in_a_repeated_hour(
    tmp_path: Path, first: Run
) -> None:
    for minutes in (-20, -50, 0):
        again = NOON + timedelta(minutes=minutes)
        second = started(run_of(tmp_path, VALID, "new", now=again), VALID, tmp_path)
        assert run_of(tmp_path, VALID).directory == second.directory
    before = run_of(tmp_path, VALID, "new", now=NOON - timedelta(days=1))
    assert before.directory.name.startswith("2026-11-23-12-00-00"), "a clock that was set back"


def test_a_run_that_starts_during_the_search_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = reserve(run_of(tmp_path, VALID))
    real = find_module._runs

    def runs(root: Path) -> list[RunDirectory]:
        found = real(root)
        if not starting.exists:
            starting.start()
        return found

    monkeypatch.setattr(find_module, "_runs", runs)
    assert run_of(tmp_path, VALID).directory == starting.directory


@pytest.mark.parametrize(
    "content",
    [
        changed("models", "another", to=MODEL),
        changed("params", to={"parallelism": 9, "request_timeout": 9, "max_retries": 1}),
        changed("resources", "cpus", to=2),
        changed("runtime", to="process"),
        changed("benchmarks", to={"c": COMMAND}),
        HOT,
    ],
    ids=["model", "transport", "resources", "runtime", "benchmark", "definition"],
)
def test_a_change_in_the_file_extends_the_run(
    tmp_path: Path, first: Run, content: dict[str, Any]
) -> None:
    assert run_of(tmp_path, content).directory == first.directory


@pytest.mark.parametrize(
    "content",
    [changed("params", "limit_samples", to=10), changed("name", to="other")],
    ids=["limit_samples", "name"],
)
def test_what_is_part_of_its_identity_makes_another_run(
    tmp_path: Path, first: Run, content: dict[str, Any]
) -> None:
    other = run_of(tmp_path, content)
    assert other.id != first.id
    with pytest.raises(ConfigError, match="that run has"):
        run_of(tmp_path, content, first.id)


# --- another configuration ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [VALID, changed("benchmarks", "c", to=COMMAND)], ids=["equal", "with one more"]
)
def test_another_checkout_joins_a_run_of_equal_definitions(
    tmp_path: Path, first: Run, content: dict[str, Any]
) -> None:
    assert run_of(tmp_path, content, file="other/c.yaml").directory == first.directory


def test_another_configuration_that_shares_no_evaluation_has_a_new_run(
    tmp_path: Path, first: Run
) -> None:
    other = run_of(tmp_path, changed("benchmarks", to={"c": COMMAND}), file="other/c.yaml")
    assert not other.exists


def test_another_configuration_with_other_definitions_fails_with_a_list(
    tmp_path: Path, first: Run
) -> None:
    both = changed("benchmarks", to={"b": HOT["benchmarks"]["b"], "c": COMMAND})
    with pytest.raises(OtherDefinitionError) as error:
        run_of(tmp_path, both, file="other/c.yaml")
    evaluation, hint = str(error.value).splitlines()
    assert evaluation.startswith(f"m/b: run {first.directory.name}, started 2026-11-24 12:00:00")
    assert "m/c" not in str(error.value)
    assert "--config run=new starts a new run" in hint
    assert f"--config run={first.id}" in hint
    assert not run_of(tmp_path, both, "new", file="other/c.yaml").exists
    assert run_of(tmp_path, both, first.id, file="other/c.yaml").directory == first.directory


def test_a_configuration_that_joined_may_not_change_what_it_shares(
    tmp_path: Path, first: Run
) -> None:
    both = changed("benchmarks", "c", to=COMMAND)
    first.start(["m/b"])  # as its own file does, which exists
    joined = run_of(tmp_path, both, file="other/c.yaml")
    joined.start(["m/b", "m/c"])
    assert run_of(tmp_path, both, file="other/c.yaml").directory == first.directory
    edited = changed("benchmarks", to={"b": HOT["benchmarks"]["b"], "c": COMMAND})
    with pytest.raises(OtherDefinitionError, match="m/b: run"):
        run_of(tmp_path, edited, file="other/c.yaml")
    assert run_of(tmp_path, HOT).directory == first.directory, "the first file may"
    (tmp_path / "c.yaml").unlink()
    assert run_of(tmp_path, edited, file="other/c.yaml").directory == first.directory


def test_an_older_run_of_equal_definitions_is_joined_before_a_newer_one_fails(
    tmp_path: Path, first: Run
) -> None:
    later = NOON + timedelta(days=1)
    started(run_of(tmp_path, HOT, "new", now=later), HOT, tmp_path)
    assert run_of(tmp_path, VALID, file="other/c.yaml").directory == first.directory


def test_a_project_that_was_moved_continues_its_run_also_after_an_edit(tmp_path: Path) -> None:
    place = tmp_path / "here"
    place.mkdir()
    first = started(run_of(place, VALID), VALID, place)
    moved = place.rename(tmp_path / "there")
    assert run_of(moved, HOT).directory == RunDirectory(moved / "out" / first.directory.name)


# --- runs of earlier versions and copies ----------------------------------------------------------


def old_run(directory: Path, content: dict[str, Any], name: str = "2026-01-01-00-00-00") -> Path:
    """A run whose id is the digest of its identity, as earlier versions made them."""
    same = identity(config(directory, content))
    run = RunDirectory(directory / "out" / f"{name}-{digest(same)[:8]}")
    run.write_origin({"id": run.id, "identity": same, "snakeval": "0.1"})
    found = evaluations_of(content, directory)
    run.write_plan([Planned(e.model, e.benchmark, e.fingerprint) for e in found])
    return run.path


TWO = changed("benchmarks", "c", to=COMMAND)


@pytest.mark.parametrize(
    "content",
    [TWO, TWO | {"benchmarks": {"b": HOT["benchmarks"]["b"], "c": COMMAND}}],
    ids=["the same", "edited"],
)
def test_an_old_run_continues_by_its_configuration(tmp_path: Path, content: dict[str, Any]) -> None:
    path = old_run(tmp_path, TWO)
    assert run_of(tmp_path, content).directory.path == path


def test_an_old_run_of_wholly_other_definitions_fails(tmp_path: Path) -> None:
    old_run(tmp_path, VALID)
    with pytest.raises(OtherDefinitionError, match="run=new"):
        run_of(tmp_path, HOT)


def test_an_id_of_two_old_runs_fails_with_their_dates(tmp_path: Path) -> None:
    paths = [old_run(tmp_path, VALID, f"2026-01-0{day}-00-00-00") for day in (1, 2)]
    assert run_of(tmp_path, VALID).directory.path == paths[1]
    with pytest.raises(ConfigError, match=r"01-01 00:00:00, 2026-01-02-.* 2026-01-02 00:00:00"):
        run_of(tmp_path, VALID, RunDirectory(paths[0]).id)
    assert run_of(tmp_path, VALID, paths[0].name).directory.path == paths[0]


def test_a_copy_without_hidden_files_is_joined_by_its_configuration_and_records(
    tmp_path: Path, first: Run
) -> None:
    (evaluation,) = evaluations_of(VALID, tmp_path)
    place = first.directory.evaluation(evaluation.id)
    place.path.mkdir(parents=True)
    record = {"model": "m", "benchmark": "b", "fingerprint": evaluation.fingerprint}
    place.published.write_text(json.dumps(record))
    first.directory.write_config("models: {}\nbenchmarks: {}\n", "1")
    hidden = first.directory.origin.parent
    hidden.rename(tmp_path / "hidden")
    assert run_of(tmp_path, VALID).directory == first.directory


def test_an_output_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output_dir: x+ cannot be read \(File name too long\)"):
        find(config(tmp_path, VALID).model_copy(update={"output_dir": "x" * 300}))


def test_other_directories_are_no_runs(tmp_path: Path, first: Run) -> None:
    for name in ("2026-11-24-12-00-01-xyz", "notes", "2027-01-01-00-00-00-00000000"):
        (tmp_path / "out" / name).mkdir()
    assert run_of(tmp_path, VALID).directory == first.directory


def test_a_beginning_that_fits_one_run_is_enough_and_one_that_fits_two_fails(
    tmp_path: Path, first: Run
) -> None:
    assert run_of(tmp_path, VALID, first.id[:7]).directory == first.directory
    started(run_of(tmp_path, VALID, "new"), VALID, tmp_path)
    with pytest.raises(ConfigError, match="fits several runs"):
        run_of(tmp_path, VALID, "2026-11")
    with pytest.raises(ConfigError, match=r"run=zzz: no such run in .*; leave it out"):
        run_of(tmp_path, VALID, "zzz")
