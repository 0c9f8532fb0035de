"""Tables, notes, times and the pager of all commands."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from snakeval.cli import output

Capture = pytest.CaptureFixture[str]
_NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=40), "40 days ago"),
    ],
)
def test_an_age_has_the_largest_whole_unit(before: timedelta, text: str) -> None:
    assert output.age(_NOW - before, _NOW) == text


def test_times_have_the_zone_of_this_machine() -> None:
    assert datetime.fromisoformat(output.zoned(_NOW)) == _NOW
    assert datetime.fromisoformat(output.zoned(_NOW.replace(tzinfo=None))).tzinfo is not None
    assert output.local_time(_NOW).endswith(_NOW.astimezone().strftime("%Z"))


@click.command()
def noting() -> None:
    output.note("a note")
    click.echo("a result")


@pytest.mark.parametrize(("words", "note"), [([], "a note\n"), (["-q"], ""), (["--quiet"], "")])
def test_quiet_leaves_out_notes_only(words: list[str], note: str, capsys: Capture) -> None:
    command = output.add_global_options(noting)
    command.main(words, standalone_mode=False)
    assert capsys.readouterr() == ("a result\n", note)


def be_a_low_terminal(monkeypatch: pytest.MonkeyPatch, lines: int = 5) -> None:
    """Let standard input and output be a terminal of so many lines, for the rest of the test."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((80, lines)))


def test_a_long_list_goes_to_the_pager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = tmp_path / "shown"
    monkeypatch.setenv("SNAKEVAL_PAGER", f"tee {shown}")
    be_a_low_terminal(monkeypatch)
    output.page(["x"] * 4)
    assert not shown.exists()
    output.page(["x"] * 5)
    assert shown.read_text() == "x\n" * 5


@pytest.mark.parametrize("pager", ["", "cat", "no-such-pager -x"])
def test_without_a_pager_a_long_list_is_printed(
    pager: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAKEVAL_PAGER", pager)
    be_a_low_terminal(monkeypatch)
    output.page(["x"] * 9)
    assert capfd.readouterr().out == "x\n" * 9


def test_a_terminal_of_unknown_size_gets_no_pager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAKEVAL_PAGER", f"tee {tmp_path / 'shown'}")
    be_a_low_terminal(monkeypatch, lines=0)
    output.page(["x"] * 9)
    assert not (tmp_path / "shown").exists()


def test_a_pipe_gets_no_pager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SNAKEVAL_PAGER", f"tee {tmp_path / 'shown'}")
    output.page(["x"] * 500)
    assert not (tmp_path / "shown").exists()
    assert capsys.readouterr().out == "x\n" * 500
