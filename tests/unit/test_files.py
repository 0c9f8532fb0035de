"""Tests that readers of a file see either all of the old text or all of the new text.

Long because each way to write a file meets the same kinds of damage.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakeval.files import (
    TwiceError,
    discard,
    has_seal,
    home,
    json_object,
    json_value,
    make_directory,
    make_way,
    make_way_for_file,
    read_json,
    read_list,
    read_state,
    read_text,
    replace_link,
    sealed,
    without_waiting,
    write_atomically,
    write_if_changed,
    yaml_value,
)


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
    assert path.stat() == before
    path.write_bytes(b"\xff")
    assert write_if_changed(path, "same"), "a file that is not UTF-8 differs"


def test_home_is_a_directory_of_the_user_unless_the_environment_sets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", "/elsewhere")
    assert home() == Path("/elsewhere")
    monkeypatch.setenv("SNAKEVAL_HOME", "")
    assert home() == Path.home() / ".snakeval"


def test_a_link_that_several_processes_replace_always_leads_somewhere(tmp_path: Path) -> None:
    link = tmp_path / "newest"
    targets = {f"attempt-{number}.log" for number in range(100)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda target: replace_link(link, target), targets))
    assert link.readlink().name in targets
    assert list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"1" * 5_000],
    ids=lambda text: f"{text[:5]!r}",
)
def test_a_damaged_json_text_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_value(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "!!int ''",
        "!!bool x",
        "!!timestamp x",
        "a: b: c",
        "2026-99-99",
        "!!float '_'",
    ],
    ids=lambda text: text[:12],
)
def test_a_damaged_yaml_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        yaml_value(text)


def test_unique_keys_of_yaml_may_be_those_of_a_merged_mapping() -> None:
    text = "a: {b: {c: &c {<<: &d {x: 1}, x: 2}}}\ne: {<<: *c, x: 3}\nf: {<<: [*c, *d]}"
    assert yaml_value(text, unique=True) == yaml_value(text)
    with pytest.raises(TwiceError, match="'x' twice"):
        yaml_value("a: {x: 1, y: 2, x: 1}", unique=True)


def test_each_changed_byte_of_a_sealed_text_is_damage() -> None:
    text = sealed({"score": 0.25, "name": "é", "parts": [1, {"a": None}]}).encode()
    found = json_object(text)
    assert has_seal(found)
    assert found["score"] == 0.25
    for place in range(len(text)):
        for bit in range(8):
            changed = bytearray(text)
            changed[place] ^= 1 << bit
            try:
                other = json_object(bytes(changed))
            except ValueError:
                continue
            # The name of the seal itself changed: readers that require a seal notice.
            assert not has_seal(other), bytes(changed)


def test_a_text_without_a_seal_is_an_object_without_one() -> None:
    assert not has_seal(json_object(b'{"score": 0.25}'))


@pytest.mark.parametrize("text", ["[1]", "null", "1", '"a"'])
def test_only_an_object_is_state(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    with pytest.raises(ValueError, match="f is damaged"):
        read_json(str(path))
    assert read_state(path, dict) is None


def test_only_a_list_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert read_list(path) is None
    path.write_text("[1]")
    assert read_list(path) == [1]
    path.write_text("{}")
    with pytest.raises(ValueError, match="f is damaged"):
        read_list(path)


def test_a_reader_waits_for_no_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "f"
    os.mkfifo(pipe)
    assert read_text(pipe) == ""
    with open(pipe, opener=without_waiting) as opened:
        assert opened.read() == ""
    assert read_state(pipe, dict) is None


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


def test_what_is_no_file_is_damaged_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        listening.bind("socket")
    assert read_state(tmp_path / "zeros", dict) is None
    assert read_state(tmp_path / "socket", dict) is None
    assert read_state(tmp_path / "directory", dict) is None
    assert read_state(tmp_path / "loop", dict) is None
    assert read_state(tmp_path / "link", dict) is None
    said = capsys.readouterr().err
    assert "directory is damaged (a directory)" in said
    assert "loop is damaged (a link to itself)" in said
    assert "zeros is damaged (a device)" in said
    assert "socket is damaged (a socket)" in said
    for name in ("directory", "loop", "socket"):
        write_if_changed(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


@pytest.mark.parametrize("write", [write_atomically, write_if_changed])
def test_a_link_to_nothing_is_replaced(tmp_path: Path, write: object) -> None:
    assert callable(write)
    path = tmp_path / "f"
    path.symlink_to("nothing")
    write(path, "new")
    assert not path.is_symlink()
    assert path.read_text() == "new"
    assert not (tmp_path / "nothing").exists()


def test_what_is_discarded_is_gone_and_a_directory_moves_aside(tmp_path: Path) -> None:
    path = tmp_path / "f"
    discard(path, "no file")
    path.write_text("")
    discard(path, "no file")
    path.symlink_to("nothing")
    discard(path, "no file")
    (path / "kept").mkdir(parents=True)
    discard(path, "a directory")
    assert [found.name for found in tmp_path.iterdir()] == ["f.damaged-1"]


def test_what_another_process_repairs_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("snakeval.files._Damage.repairs", True)
    path = tmp_path / "state"
    path.write_text('{"is": "damaged"}')

    def parse(data: dict[str, object]) -> object:
        if data["is"] == "damaged":
            write_atomically(path, '{"is": "repaired"}')
            raise ValueError
        return data["is"]

    assert read_state(path, parse) == "repaired"
    assert [found.name for found in tmp_path.iterdir()] == ["state"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("link", [False, True])
def test_a_directory_that_another_process_makes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    path = tmp_path / "place"
    path.symlink_to("nothing") if link else path.touch()
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        path.unlink()
        path.mkdir()
        (path / "lease").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    make_way(path)
    assert (path / "lease").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["place"]


def test_a_directory_that_another_process_makes_during_the_look_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place"
    for name in ("exists", "is_symlink"):
        look = getattr(Path, name)

        def late(self: Path, look: Callable[[Path], bool] = look) -> bool:
            path.mkdir(exist_ok=True)
            return look(self)

        monkeypatch.setattr(Path, name, late)
    make_way(path)
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_only_a_broken_link_moves_out_of_the_way_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "record"
    make_way_for_file(path)
    path.symlink_to("nothing")
    make_way_for_file(path)
    assert (tmp_path / "record.damaged-1").is_symlink()
    path.write_text("whole")
    make_way_for_file(path)
    assert path.read_text() == "whole"


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
