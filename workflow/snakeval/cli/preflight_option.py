"""The option ``--no-preflight`` of ``run``, ``resume``, ``rescore`` and ``eval``.

It is ``--config preflight=false``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

#: The key of ``--config``.
KEY = "preflight"
_META = "snakeval.no_preflight"


def preflight_option(command: Command) -> Command:
    """Add the option to a click command."""
    return click.option(
        "--no-preflight",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Start without asking the endpoints whether they work.",
    )(command)


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_META] = value


def is_off() -> bool:
    """Whether the command that runs has the option."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_META))
