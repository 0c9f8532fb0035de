"""Variables of a file: those that are set stay, and no message repeats a value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.cli.env_file import read
from snakeval.errors import ConfigError


def test_a_file_sets_what_the_environment_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"OLD": "stays"})
    file = tmp_path / ".env"
    file.write_text("# keys\nexport MY_KEY='a $b'  # mine\nOLD=new\nEMPTY=\n")
    read(file)
    assert os.environ == {"OLD": "stays", "MY_KEY": "a $b", "EMPTY": ""}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A=1\n\nsk-secret-itself\n", "line 3 sets no variable"),
        (b"A=1\nMY_KEY\n", "line 2 sets no variable; write NAME=value"),
        (b"A=1\nB='secret\n", "line 2 sets no variable"),
        (b"\xff\xfe=1\n", "cannot be read (it is no text)"),
        (b"MY_KEY=a\0secret\n", "has a character that no variable can hold"),
    ],
)
def test_a_wrong_file_is_one_sentence_without_a_value(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="--env-file") as refused:
        read(file)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)
