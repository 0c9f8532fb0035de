"""The option ``-o``, which changes a configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def override_option(help: str) -> Callable[[Command], Command]:
    """Return what adds the option to a click command, as ``overrides``."""
    return click.option(
        "-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help=help
    )


#: The option of commands that run a configuration.
changes_option = override_option(
    "Change a value, or add one that a configuration may have; +KEY=VALUE adds one, ++KEY=VALUE "
    "adds or changes one, ~KEY removes one."
)
