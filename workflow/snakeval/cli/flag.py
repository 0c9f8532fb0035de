"""A flag of a command that the code below the command asks for, without an argument for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Flag:
    """A flag; as a decorator, it adds itself to a click command."""

    def __init__(self, *names: str, help: str) -> None:
        self._names = names
        self._help = help
        self._key = f"snakeval{names[-1]}"

    def __call__(self, command: Command) -> Command:
        """Add the flag to *command*."""
        return click.option(
            *self._names,
            is_flag=True,
            expose_value=False,
            callback=self._remember,
            help=self._help,
        )(command)

    def option(self) -> click.Option:
        """Return the flag for the parameters of a command that exists."""
        return click.Option(
            self._names,
            is_flag=True,
            expose_value=False,
            callback=self._remember,
            help=self._help,
        )

    def _remember(self, context: click.Context, parameter: click.Parameter, value: bool) -> None:
        context.meta[self._key] = value

    def is_set(self) -> bool:
        """Whether the command that runs has the flag."""
        context = click.get_current_context(silent=True)
        return context is not None and bool(context.meta.get(self._key))
