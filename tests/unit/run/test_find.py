"""Which directory a run lives in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.run.find import Run, find
from support.configs import MODEL, VALID, changed, config

NOON = datetime(2026, 11, 24, 12)


def run_of(directory: Path, content: dict[str, Any], choice: str | None = None) -> Run:
    return find(config(directory, content, output_dir=str(directory / "out")), choice, now=NOON)


def started(run: Run) -> Run:
    run.directory.write_origin({"identity": run.identity})
    return run


def test_finding_a_run_makes_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, VALID)
    assert run.directory.name == f"2026-11-24-12-00-00-{run.id}"
    assert not run.exists
    assert not (tmp_path / "out").exists()


def test_the_same_configuration_continues_its_newest_run(tmp_path: Path) -> None:
    first = started(run_of(tmp_path, VALID))
    second = started(run_of(tmp_path, VALID, "new"))
    assert first.directory != second.directory
    assert run_of(tmp_path, VALID).directory == second.directory
    assert run_of(tmp_path, VALID, first.directory.name).directory == first.directory


@pytest.mark.parametrize(
    "content",
    [
        changed("models", "another", to=MODEL),
        changed("params", to={"parallelism": 9, "request_timeout": 9, "max_retries": 1}),
        changed("resources", "cpus", to=2),
        changed("runtime", to="process"),
    ],
    ids=["another model", "transport", "resources", "runtime"],
)
def test_what_is_no_part_of_its_identity_extends_the_run(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    first = started(run_of(tmp_path, VALID))
    assert run_of(tmp_path, content).directory == first.directory


@pytest.mark.parametrize(
    "content",
    [changed("params", "limit_samples", to=10), changed("name", to="other")],
    ids=["limit_samples", "name"],
)
def test_what_is_part_of_its_identity_makes_another_run(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    first = started(run_of(tmp_path, VALID))
    other = run_of(tmp_path, content)
    assert other.id != first.id
    with pytest.raises(ConfigError, match="that run has"):
        run_of(tmp_path, content, first.id)


def test_an_output_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output_dir: x+ cannot be read \(File name too long\)"):
        find(config(tmp_path, VALID, output_dir="x" * 300))


def test_other_directories_are_no_runs(tmp_path: Path) -> None:
    started(run_of(tmp_path, VALID))
    for name in ("2026-11-24-12-00-01-xyz", "notes", "2027-01-01-00-00-00-00000000"):
        (tmp_path / "out" / name).mkdir()
    assert run_of(tmp_path, VALID).directory.name.startswith("2026-11-24-12-00-00-")


def test_a_beginning_that_fits_one_run_is_enough_and_one_that_fits_two_fails(
    tmp_path: Path,
) -> None:
    first = started(run_of(tmp_path, VALID))
    assert run_of(tmp_path, VALID, first.id[:5]).directory == first.directory
    started(run_of(tmp_path, VALID, "new"))
    with pytest.raises(ConfigError, match="fits several runs"):
        run_of(tmp_path, VALID, "2026-11")
    with pytest.raises(ConfigError, match=r"run=zzz: no such run in .*; leave it out"):
        run_of(tmp_path, VALID, "zzz")
