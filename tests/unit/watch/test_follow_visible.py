"""`snakeval logs`: a terminal gets no sequence of a harness except colours, and a file gets all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from snakeval.watch import follow

LOG = (
    "\x1b[1;31mred\x1b[0m \x1b]0;owned\x07 10%\r20%\n\u202ertl größe\x1b[2J\n".encode() + b"\xff\n"
)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def printed(out: io.BytesIO, log: Path) -> bytes:
    follow._Printer(out, None).more([log])
    return out.getvalue()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "attempt-1.log"
    path.write_bytes(LOG)
    return path


def test_a_terminal_gets_colours_and_no_other_sequence(log: Path) -> None:
    assert printed(Terminal(), log).decode() == (
        "\x1b[1;31mred\x1b[0m ‹U+001B›]0;owned‹U+0007› 10%\r20%\n‹U+202E›rtl größe‹U+001B›[2J\n�\n"
    )


def test_a_file_gets_the_log_unchanged(log: Path) -> None:
    assert printed(io.BytesIO(), log) == LOG


def test_a_character_between_two_blocks_stays_whole(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_BLOCK", 1)
    log.write_text("größe 模型 𝕏\n", encoding="utf-8")
    assert printed(Terminal(), log).decode() == "größe 模型 𝕏\n"
