"""`snakeval help`: the help of a command."""

from __future__ import annotations

import json

import pytest

from support.made import snakeval

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("words", [("kill",), ("ls",), ("ls", "runs"), ()])
def test_it_is_what_the_option_prints(words: tuple[str, ...], capsys: Capture) -> None:
    wanted = snakeval(capsys, *words, "--help").out
    assert snakeval(capsys, "help", *words).out == wanted
    data = json.loads(snakeval(capsys, "help", *words, "--json").out)
    assert data == {"command": " ".join(["snakeval", *words]), "help": wanted.rstrip("\n")}


def test_an_unknown_command_gets_a_suggestion(capsys: Capture) -> None:
    said = snakeval(capsys, "help", "kil")
    assert (said.exit_code, "did you mean 'kill'" in said.err) == (2, True)


def test_a_command_has_no_commands_below_it(capsys: Capture) -> None:
    said = snakeval(capsys, "help", "kill", "run")
    assert (said.exit_code, said.err) == (
        2,
        "snakeval: snakeval kill has no commands; remove run\n",
    )
