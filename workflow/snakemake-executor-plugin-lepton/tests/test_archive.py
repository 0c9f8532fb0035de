"""Archives: alike each time, verified, and published as a whole."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from snakemake_executor_plugin_lepton import archive
from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.options import Transfer
from snakemake_executor_plugin_lepton.receipt import Receipt


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_text("a")
    (tree / "sub/b").write_text("b")
    (tree / "link").symlink_to("a")
    return tree


def test_the_same_content_makes_the_same_archive(tree: Path, tmp_path: Path) -> None:
    transfer = Transfer(tree, PurePosixPath("/data/tree"))
    first = archive.pack([transfer], tmp_path / "1.tgz")
    os.utime(tree / "a", (1, 1))
    assert archive.pack([transfer], tmp_path / "2.tgz") == first
    (tree / "a").write_text("changed")
    assert archive.pack([transfer], tmp_path / "3.tgz") != first


def test_files_return_to_their_places_by_their_paths_in_the_job(tree: Path, tmp_path: Path) -> None:
    archive.pack([Transfer(tree, PurePosixPath("/results"))], tmp_path / "1.tgz")
    here = tmp_path / "here"
    here.mkdir()
    (here / "old").write_text("old")
    back = [
        Transfer(here, PurePosixPath("/results")),
        Transfer(tmp_path / "no", PurePosixPath("/no")),
    ]
    assert archive.publish(tmp_path / "1.tgz", back, tmp_path / "private") == []
    found = {str(p.relative_to(here)): p.read_text() for p in here.rglob("*") if p.is_file()}
    assert found == {"a": "a", "sub/b": "b", "link": "a"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.tgz", "here", "private", "tree"]
    assert list((tmp_path / "private").iterdir()) == []


def test_members_that_point_out_of_their_place_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tgz", "w:gz") as bad:
        for name, link in (("r/ok", None), ("../evil", None), ("r/link", "/etc/passwd")):
            member = tarfile.TarInfo(name)
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, link
            bad.addfile(member, io.BytesIO())
    back = [Transfer(tmp_path / "here", PurePosixPath("/r"))]
    left_out = archive.publish(tmp_path / "bad.tgz", back, tmp_path / "private")
    assert left_out == ["../evil", "r/link"]
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["ok"]
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_archive_is_not_published(
    tree: Path, tmp_path: Path, damage: bytes | None
) -> None:
    file = tmp_path / "1.tgz"
    digest = archive.pack([Transfer(tree, PurePosixPath("/r"))], file)
    receipt = Receipt(0, 1, file.stat().st_size, digest)
    archive.verify(file, receipt)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x" if damage is None else damage)
    with pytest.raises(TransportError, match="not those that the job sent"):
        archive.verify(file, receipt)
