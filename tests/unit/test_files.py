"""Writing so that a reader sees all of the new or of the old."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.files import home, write_atomically, write_if_changed


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_a_file_is_made_with_its_directory_and_leaves_nothing_beside_it(
    tmp_path: Path, write: object
) -> None:
    assert callable(write)
    path = tmp_path / "a" / "b.txt"
    write(path, "älter", mode=0o755)
    write(path, "neuer", mode=0o755)
    assert path.read_text(encoding="utf-8") == "neuer"
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_where_writing_fails_the_old_stays_and_nothing_is_left(
    tmp_path: Path, write: object
) -> None:
    assert callable(write)
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, "old")
    with path.open() as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert write_if_changed(path, "same")
    before = path.stat()
    assert not write_if_changed(path, "same")
    assert path.stat() == before
    path.write_bytes(b"\xff")
    assert write_if_changed(path, "same"), "what is no UTF-8 is not the same"


def test_home_is_a_directory_of_the_user_or_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", "/elsewhere")
    assert home() == Path("/elsewhere")
    monkeypatch.setenv("SNAKEVAL_HOME", "")
    assert home() == Path.home() / ".snakeval"
