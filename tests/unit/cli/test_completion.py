"""`snakeval completion`: the script of a shell."""

from __future__ import annotations

import json

import pytest

from support.made import snakeval

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_completes_snakeval(shell: str, capsys: Capture) -> None:
    said = snakeval(capsys, "completion", shell)
    assert said.exit_code == 0
    assert "_SNAKEVAL_COMPLETE" in said.out
    data = json.loads(snakeval(capsys, "completion", shell, "--json").out)
    assert data["shell"] == shell
    assert data["script"] in said.out


def test_the_script_asks_snakeval_for_the_commands(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_SNAKEVAL_COMPLETE", "fish_complete")
    monkeypatch.setenv("COMP_WORDS", "snakeval comp")
    monkeypatch.setenv("COMP_CWORD", "comp")
    with pytest.raises(SystemExit):
        snakeval(capsys)
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [
        "plain,compare",
        "plain,completion",
    ]


def test_an_unknown_shell_is_bad_input(capsys: Capture) -> None:
    assert snakeval(capsys, "completion", "tcsh").exit_code == 2
