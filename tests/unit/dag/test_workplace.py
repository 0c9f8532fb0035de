"""Working directories in which Snakemake cannot keep its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.dag.workplace import require_workplace
from snakeval.errors import ConfigError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a user to whom the bits of permissions matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: bool(Path(path).stat().st_mode & 0o200))
    return tmp_path


def problem(*, starts: bool) -> str:
    try:
        require_workplace(starts=starts)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_directory_that_can_be_written_suffices() -> None:
    assert problem(starts=True) == problem(starts=False) == ""


@pytest.mark.parametrize("starts", [True, False])
def test_a_directory_that_cannot_be_written_is_one_sentence(place: Path, starts: bool) -> None:
    place.chmod(0o500)
    hint = "and Snakemake keeps its files there; give the command in another directory"
    assert problem(starts=starts) == f"{place}: cannot be written, {hint}"
    place.chmod(0o700)


@pytest.mark.parametrize("folder", [".snakemake", ".snakemake/metadata", ".snakemake/incomplete"])
def test_a_dry_run_requires_no_right_to_write_what_a_start_writes(place: Path, folder: str) -> None:
    closed = place / folder
    closed.mkdir(parents=True)
    closed.chmod(0o500)
    assert problem(starts=True).startswith(f"{closed}: cannot be written")
    assert problem(starts=False) == ""
    closed.chmod(0o700)


def test_a_file_in_the_place_of_the_directory_is_one_sentence(place: Path) -> None:
    (place / ".snakemake").touch()
    assert "cannot be written" in problem(starts=True)
