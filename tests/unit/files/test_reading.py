"""Tests that reading never waits, and accepts only what the caller asks for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.files import (
    read_json,
    read_list,
    read_state,
    read_text,
    without_waiting,
)


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
