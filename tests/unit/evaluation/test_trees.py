"""Links in artifacts, which move when they are published and are copied when an attempt resumes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.evaluation import trees


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """The results of a harness, with every kind of link that harnesses leave."""
    place = tmp_path / "artifacts"
    (place / "run-1").mkdir(parents=True)
    (place / "run-1/out").write_text("1")
    (tmp_path / "outside").write_text("2")
    for name, target in {
        "latest": f"{place}/run-1",
        "run-1/again": f"{place}/run-1/out",
        "mounted": "/results/run-1/out",
        "relative": "run-1/out",
        "other": f"{tmp_path}/outside",
        "beside": f"{place}-2/out",
        "nothing": "/nonexistent",
    }.items():
        (place / name).symlink_to(target)
    return place


def targets(place: Path) -> dict[str, str]:
    links = [path for path in place.rglob("*") if path.is_symlink()]
    return {path.relative_to(place).as_posix(): str(path.readlink()) for path in links}


def test_absolute_links_into_the_artifacts_stay_true_when_they_move(
    artifacts: Path, tmp_path: Path
) -> None:
    before = targets(artifacts)
    trees.make_links_relative(artifacts, "/results")
    changed = {"latest": "run-1", "run-1/again": "out", "mounted": "run-1/out"}
    assert targets(artifacts) == before | changed
    moved = artifacts.rename(tmp_path / "moved")
    assert {path for path, _ in trees.files(moved)} == {
        "run-1/out", "run-1/again", "mounted", "relative",
    }  # fmt: skip


def test_a_link_to_a_directory_of_a_machine_is_no_mount(artifacts: Path) -> None:
    trees.make_links_relative(artifacts)
    assert targets(artifacts)["mounted"] == "/results/run-1/out"


def test_a_copy_has_links_of_its_own(artifacts: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    trees.copy(artifacts, copy, ["*"])
    assert (copy / "run-1/again").resolve() == copy / "run-1/out"
    assert targets(copy)["other"] == f"{tmp_path}/outside"


def test_the_digest_of_sizes_depends_on_names_sizes_and_kinds_only(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "a" / "b").mkdir(parents=True)
    (place / "a/b/f").write_text("12")
    (place / "odd-\udcff\n").write_text("")
    before = trees.digest_of_sizes(place)
    (place / "a/b/f").write_text("34")
    os.utime(place / "a", ns=(0, 0))
    assert trees.digest_of_sizes(place) == before, "the same names and sizes"
    for change in (
        lambda: (place / "a/b/f").write_text("3"),
        lambda: (place / "a/b/f").rename(place / "a/f"),
        lambda: (place / "a/f").unlink(),
        lambda: os.mkfifo(place / "a/f"),
        lambda: (place / "new").mkdir(),
    ):
        change()
        assert trees.digest_of_sizes(place) != before
        before = trees.digest_of_sizes(place)


def test_the_digest_of_sizes_follows_links_as_the_manifest_does(artifacts: Path) -> None:
    before = trees.digest_of_sizes(artifacts)
    assert trees.digest_of_sizes(artifacts) == before, "also with links to nothing"
    (artifacts.parent / "outside").write_text("longer")
    assert trees.digest_of_sizes(artifacts) != before
