"""The command line as a whole: errors for programs, and options of each command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from snakeval import cli
from snakeval.run import target
from support.made import snakeval

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_with_json_a_wrong_input_is_one_object(capsys: Capture) -> None:
    said = snakeval(capsys, "verify", "none", "--json")
    data = json.loads(said.out)
    assert (said.exit_code, data["exit_code"]) == (2, 2)
    assert "none" in f"{data['place']}{data['problem']}"
    assert set(data) == {"problem", "place", "hint", "exit_code", "others"}


def test_with_json_a_wrong_option_is_one_object(capsys: Capture) -> None:
    said = snakeval(capsys, "ls", "runs", "--json", "--sinse", "1d")
    data = json.loads(said.out)
    assert (said.exit_code, said.err) == (2, "")
    assert "--sinse" in data["problem"]
    assert data["hint"] == "see `snakeval ls runs --help`"


def test_a_wrong_value_of_any_length_is_one_readable_line(capsys: Capture) -> None:
    said = snakeval(capsys, "compare", "a", "b", "--fail-if-worse", "x" * 100_000)
    assert (said.exit_code, said.out) == (2, "")
    assert "xxx…" in said.err
    assert len(said.err) < 300


def test_with_json_an_interrupt_is_one_object(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(target, "find", interrupt)
    said = snakeval(capsys, "verify", "8b1a", "--json")
    assert (said.exit_code, json.loads(said.out)["exit_code"]) == (130, 130)
    said = snakeval(capsys, "verify", "8b1a")
    assert (said.exit_code, said.out) == (130, "")


def test_an_option_of_snakemake_does_not_ask_for_json(capsys: Capture) -> None:
    said = snakeval(capsys, "resume", "none", "--", "--json")
    assert (said.exit_code, said.out) == (2, "")
    assert "none" in said.err


def commands(group: click.Group, context: click.Context) -> list[click.Command]:
    """Return the commands of *group* and of the groups in it."""
    found = []
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        assert each is not None
        found += commands(each, context) if isinstance(each, click.Group) else [each]
    return found


def test_each_command_has_the_common_options_once() -> None:
    for each in commands(cli.app, click.Context(cli.app)):
        options = [option for parameter in each.params for option in parameter.opts]
        for name in ("-q", "-v", "--no-pager"):
            assert options.count(name) == 1, each.name
