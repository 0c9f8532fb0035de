"""A flag reaches the code below its command."""

from __future__ import annotations

import click
import pytest

from snakeval.cli.flag import Flag

WHOLE = Flag("-w", "--whole", help="Do all of it.")


def run(command: click.Command, *words: str) -> object:
    return command.main([*words], standalone_mode=False)


def as_decorator() -> click.Command:
    @WHOLE
    @click.command()
    def command() -> bool:
        return WHOLE.is_set()

    return command


def as_parameter() -> click.Command:
    return click.Command("command", params=[WHOLE.option()], callback=WHOLE.is_set)


@pytest.mark.parametrize("make", [as_decorator, as_parameter])
def test_a_flag_is_set_in_its_own_call_only(make: type[click.Command]) -> None:
    command = make()
    assert run(command, "--whole") is True
    assert run(command, "-w") is True
    assert run(command) is False
    assert not WHOLE.is_set()
