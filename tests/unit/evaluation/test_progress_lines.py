"""Lines of progress go to people, and to no quiet command."""

from __future__ import annotations

import pytest

from snakeval.evaluation.progress_lines import QUIET, say


def test_a_quiet_command_prints_no_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(QUIET, raising=False)
    say("a line")
    monkeypatch.setenv(QUIET, "1")
    say("another line")
    assert capsys.readouterr() == ("", "a line\n")
