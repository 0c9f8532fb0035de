"""Tests that damaged state moves aside once, and that nothing sound moves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.files import (
    discard,
    make_way,
    make_way_for_file,
    read_state,
    write_atomically,
    write_if_changed,
)


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
    monkeypatch.setattr("snakeval.files.damage._Damage.repairs", True)
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
