"""Tests that readers of a file see either all of the old text or all of the new text."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakeval.files import (
    lead,
    led_to,
    make_directory,
    replace_link,
    write_atomically,
    write_if_changed,
)
from support.links import refuse_symlinks


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_a_write_creates_the_directory_and_leaves_no_temporary_file(
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
def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(
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


def test_an_unchanged_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert write_if_changed(path, "same")
    before = path.stat()
    assert not write_if_changed(path, "same")
    after = path.stat()  # without the time of the last read, which a read may change
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    path.write_bytes(b"\xff")
    assert write_if_changed(path, "same"), "a file that is not UTF-8 differs"


def test_a_link_that_several_processes_replace_always_leads_somewhere(tmp_path: Path) -> None:
    link = tmp_path / "newest"
    targets = {f"attempt-{number}.log" for number in range(100)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda target: replace_link(link, target), targets))
    assert link.readlink().name in targets
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_symbolic_links_a_text_names_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lead(tmp_path / "log", "log-1")
    assert os.readlink(tmp_path / "log") == "log-1"  # noqa: PTH115
    assert led_to(tmp_path / "log") == Path("log-1")
    refuse_symlinks(monkeypatch, number)
    lead(tmp_path / "log", "log-2")
    assert (tmp_path / "log").read_text() == "It is in log-2.\n"
    assert led_to(tmp_path / "log") == Path("log-2")
    assert not (tmp_path / "log-1").exists(), "a link is not followed"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("content", [b"", b"It is elsewhere.\n", b"\xff", None])
def test_any_other_file_or_directory_leads_nowhere(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "log").write_bytes(content)
    assert led_to(tmp_path / "log") is None
    assert led_to(tmp_path) is None


def test_a_disk_without_room_is_no_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_symlinks(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left on device"):
        lead(tmp_path / "log", "log-1")


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_a_directory_in_the_place_of_a_state_file_moves_aside(
    tmp_path: Path, write: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(write)
    path = tmp_path / "f"
    (path / "kept").mkdir(parents=True)
    write(path, "new")
    assert path.read_text() == "new"
    assert (tmp_path / "f.damaged-1/kept").is_dir()
    assert "is damaged (a directory); kept as f.damaged-1" in capsys.readouterr().err


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_a_link_to_nothing_is_replaced(tmp_path: Path, write: object) -> None:
    assert callable(write)
    path = tmp_path / "f"
    path.symlink_to("nothing")
    write(path, "new")
    assert not path.is_symlink()
    assert path.read_text() == "new"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_an_error_of_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    assert callable(write)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write(tmp_path / "f", "text")
    assert raised.value.filename == str(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_become_private_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    saved = tmp_path / "saved"
    write_if_changed(saved, "text")
    saved.chmod(0o644)
    tmp_path.chmod(0o755)

    def read_only(self: Path, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "chmod", read_only)
    assert not write_if_changed(saved, "text")
    make_directory(tmp_path)
