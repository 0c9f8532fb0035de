"""Tests that no value of a template runs as shell text, and that a stop waits for the command."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.errors import EvaluationError
from snakeval.shell import argv, fill, render
from support.limits import HUNG


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_value_is_always_one_word(value: str) -> None:
    text = render("printf %s {{ value }}", {"value": value})
    done = subprocess.run(["sh", "-c", text], capture_output=True, check=True)
    assert done.stdout == value.encode()


def test_only_raw_values_are_shell_text() -> None:
    values = {"options": "--a 'b c'", "n": 3}
    assert render("{{ options }} {{ options | raw }} {{ n }}", values) == (
        "'--a '\"'\"'b c'\"'\"'' --a 'b c' 3"
    )


def test_fill_does_not_quote() -> None:
    assert fill("{{ name }}:{{ port }}", {"name": "it's", "port": 1}, "NAME") == "it's:1"


@pytest.mark.parametrize("template", ["{{ absent }}", "{{ ", "{% if %}", "{{ 1 / 0 }}"])
def test_the_error_of_an_invalid_template_names_it(template: str) -> None:
    with pytest.raises(
        EvaluationError, match=r"^`command` is not a valid template: .+; correct it$"
    ):
        render(template, {})
    with pytest.raises(EvaluationError, match=r"^MY_URL is not a valid template: .+; correct it$"):
        fill(template, {}, "MY_URL")


def test_the_shell_returns_the_commands_exit_code() -> None:
    assert subprocess.run(argv("exit 3"), check=False).returncode == 3
    assert subprocess.run(argv("true\nfalse"), check=False).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_shell_waits_for_its_command_and_starts_no_other(
    tmp_path: Path, number: signal.Signals
) -> None:
    # The command closes its files slowly, as a server or a harness does.
    slow = "trap 'sleep 0.5; echo closed; exit 1' TERM INT; echo up; while :; do sleep 0.05; done"
    text = f'sh -c "{slow}"\ntouch {tmp_path}/went-on'
    shell = subprocess.Popen(argv(text), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert shell.stdout is not None
    assert shell.stdout.readline() == "up\n"
    os.killpg(shell.pid, number)
    assert shell.wait(timeout=HUNG) == 143
    # The pipe ends, since no other process holds it, and has the output before the shell's end.
    assert shell.stdout.read() == "closed\n"
    assert not (tmp_path / "went-on").exists()


@pytest.mark.parametrize(
    "text", ["sleep 1800", "env A=1 sleep 1800 > /dev/null", "sh -c 'sleep 1800; :'"]
)
def test_a_single_command_replaces_the_shell_and_receives_the_signal(text: str) -> None:
    assert argv(text) == ("sh", "-c", f"exec {text}")


@pytest.mark.parametrize(
    "text",
    [
        "a; b",
        "a && b",
        "a | b",
        "a &",
        "(a)",
        "A=1 a",
        "cd a",
        "exec a",
        "a\nb",
        "'open",
        "",
        "# a",
    ],
)
def test_several_commands_keep_their_shell(text: str) -> None:
    assert argv(text) == ("sh", "-c", f"trap 'exit 143' TERM INT\n{text}")
