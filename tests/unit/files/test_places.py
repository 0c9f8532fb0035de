"""Tests of snakeval's home."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snakeval.files import home, unwritable


def test_home_is_a_directory_of_the_user_unless_the_environment_sets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", "/elsewhere")
    assert home() == Path("/elsewhere")
    monkeypatch.setenv("SNAKEVAL_HOME", "")
    assert home() == Path.home() / ".snakeval"


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        ("/home/me/sv/runs", errno.EROFS, "SNAKEVAL_HOME: /home/me/sv/runs cannot be written (R"),
        ("/data/run", errno.EACCES, "output_dir: /data/run cannot be written (Permission denied)"),
        ("/data/run", errno.EACCES, "set another directory or correct its permissions"),
        ("/data/run", errno.ENOSPC, "set another directory or free some space"),
    ],
)
def test_what_cannot_be_written_has_the_setting_that_chooses_it(
    path: str, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", "/home/me/sv")
    assert sentence in unwritable(path, OSError(code, os.strerror(code)), "output_dir")
