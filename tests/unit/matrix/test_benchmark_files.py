"""Files of a benchmark: what their digest covers, and the copy from which evaluations run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.errors import ConfigError, EvaluationError
from snakeval.matrix.benchmark_files import (
    files_digest,
    is_intact,
    private_copy,
    require_snapshot,
    take_snapshot,
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a script, and data behind a link."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/score").write_text("0.1")
    (tmp_path / "task").mkdir()
    (tmp_path / "task/data").symlink_to(tmp_path / "data")
    script = tmp_path / "task/run.sh"
    script.write_text("cat data/score")
    script.chmod(0o755)
    (tmp_path / "task/.git").mkdir()
    (tmp_path / "task/.git/index").write_text("1")
    return tmp_path / "task"


def test_content_behind_a_linked_directory_is_part_of_the_digest(
    files: Path, tmp_path: Path
) -> None:
    before, older = files_digest(files), files_digest(files, follow=False)
    (tmp_path / "data/score").write_text("0.9")
    assert files_digest(files) != before
    assert files_digest(files, follow=False) == older, "format 1 saw no difference"


def test_without_linked_directories_the_digest_is_the_one_of_format_1(files: Path) -> None:
    (files / "data").unlink()
    assert files_digest(files) == files_digest(files, follow=False)


def test_a_link_to_a_directory_above_ends(files: Path) -> None:
    before = files_digest(files)
    (files / "loop").symlink_to(files)
    assert files_digest(files) == before


def test_a_folder_that_is_reachable_twice_is_there_twice(tmp_path: Path) -> None:
    task = tmp_path / "task"
    for version in ("v1", "v2"):
        (task / "versions" / version).mkdir(parents=True)
        (task / "versions" / version / "data").write_text(version)
    (task / "latest").symlink_to("versions/v2")
    (task / "newest").symlink_to("versions/v2")
    target = tmp_path / "copy"
    take_snapshot(task, files_digest(task), target)
    assert {path.relative_to(target).as_posix(): path.read_text() for path in files_in(target)} == {
        "latest/data": "v2",
        "newest/data": "v2",
        "versions/v1/data": "v1",
        "versions/v2/data": "v2",
    }


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_links_that_multiply_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "task/0").mkdir(parents=True)
    for level in range(1, 10):
        (tmp_path / f"task/{level}").mkdir()
        for name in "ab":
            (tmp_path / f"task/{level}/{name}").symlink_to(f"../{level - 1}")
    with pytest.raises(ConfigError, match="links lead to it in more than 100 ways"):
        files_digest(tmp_path / "task")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_file_without_an_end_is_an_error(files: Path, kind: str) -> None:
    wrong = files / "wrong"
    if kind == "pipe":
        os.mkfifo(wrong)
    else:
        wrong.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="wrong: is a pipe, a socket or a device"):
        files_digest(files)


def test_an_executable_file_is_executable_in_a_copy_that_exists(
    files: Path, tmp_path: Path
) -> None:
    script, target = files / "run.sh", tmp_path / "copy"
    script.chmod(0o644)
    digest = files_digest(files)
    take_snapshot(files, digest, target)
    assert not (target / "run.sh").stat().st_mode & 0o111
    script.chmod(0o755)
    take_snapshot(files, digest, target)
    assert (target / "run.sh").stat().st_mode & 0o111


def test_a_folder_without_files_is_copied(tmp_path: Path) -> None:
    (tmp_path / "task/empty").mkdir(parents=True)
    target = tmp_path / "copy"
    take_snapshot(tmp_path / "task", files_digest(tmp_path / "task"), target)
    assert (target / "empty").is_dir()
    assert is_intact(target, files_digest(tmp_path / "task"))


def test_a_snapshot_has_the_files_that_the_digest_covers(files: Path, tmp_path: Path) -> None:
    target = tmp_path / "run/files/abc"
    digest = files_digest(files)
    take_snapshot(files, digest, target)
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*")) == [
        "data", "data/score", "run.sh",
    ]  # fmt: skip
    assert files_digest(target) == digest
    assert (target / "run.sh").stat().st_mode & 0o111
    assert not (target / "data").is_symlink()
    (tmp_path / "data/score").write_text("0.9")
    take_snapshot(files, digest, target)
    assert (target / "data/score").read_text() == "0.1"


def test_a_snapshot_that_something_changed_is_taken_again(files: Path, tmp_path: Path) -> None:
    digest = files_digest(files)
    target = tmp_path / digest[:32]
    take_snapshot(files, digest, target)
    require_snapshot(target)
    (target / "log").write_text("a harness without a container wrote it")
    require_snapshot(target)
    (target / "data/score").write_text("0.9")
    with pytest.raises(EvaluationError, match="files changed since the run started"):
        require_snapshot(target)
    take_snapshot(files, digest, target)
    assert (target / "data/score").read_text() == "0.1"
    require_snapshot(target)


def test_a_directory_that_is_no_snapshot_is_not_checked(files: Path) -> None:
    require_snapshot(files)


def test_files_that_changed_since_the_command_planned_are_an_error(
    files: Path, tmp_path: Path
) -> None:
    digest = files_digest(files)
    (tmp_path / "data/score").write_text("0.9")
    with pytest.raises(ConfigError, match="changed while the run started"):
        take_snapshot(files, digest, tmp_path / "abc")
    assert not is_intact(tmp_path / "abc", digest)
    (tmp_path / "data/score").write_text("0.1")
    take_snapshot(files, digest, tmp_path / "abc")
    assert is_intact(tmp_path / "abc", digest)


def test_a_private_copy_has_the_files_and_folders_of_the_snapshot_alone(
    files: Path, tmp_path: Path
) -> None:
    (files / "empty").mkdir()
    digest = files_digest(files)
    target = tmp_path / digest[:32]
    take_snapshot(files, digest, target)
    (target / "log").write_text("a harness of an earlier version wrote it")
    with private_copy(target, tmp_path) as copy:
        assert sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*")) == [
            "data", "data/score", "empty", "run.sh",
        ]  # fmt: skip
        assert (copy / "run.sh").stat().st_mode & 0o111
        (copy / "data/score").write_text("0.9")
    assert not copy.exists()
    assert (target / "data/score").read_text() == "0.1"


@pytest.mark.parametrize("harm", ["other", "absent", "folder", "pipe", "list", "outside"])
def test_no_harness_gets_a_copy_of_a_damaged_snapshot(
    files: Path, tmp_path: Path, harm: str
) -> None:
    digest = files_digest(files)
    target = tmp_path / digest[:32]
    take_snapshot(files, digest, target)
    score, names = target / "data/score", target.with_name(f"{target.name}.json")
    if harm == "other":
        score.write_text("0.9")
    elif harm in ("list", "outside"):
        names.write_text("{" if harm == "list" else '["../task/run.sh"]')
    else:
        score.unlink()
        {"absent": list, "folder": score.mkdir, "pipe": lambda: os.mkfifo(score)}[harm]()
    message = "files changed since the run started"
    with pytest.raises(EvaluationError, match=message), private_copy(target, tmp_path):
        pass
    assert not [*tmp_path.glob("files-*")]


def test_a_directory_that_is_no_snapshot_is_not_copied(files: Path, tmp_path: Path) -> None:
    with private_copy(files, tmp_path) as copy:
        assert copy == files
