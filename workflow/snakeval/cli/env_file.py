"""The option ``--env-file``: reads variables, such as keys, from a file of the user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from snakeval.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


def env_file_option(command: Command) -> Command:
    """Add the option to a click command, which does not see it."""
    return click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=_read_option,
        help="Read variables from this file; those that are set already stay.",
    )(command)


def _read_option(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    if path is not None:
        read(path)


def read(path: Path) -> None:
    """Set the variables of *path* that the environment does not have.

    Raises:
        ConfigError: it cannot be read; the message has nothing of its content.
    """
    from dotenv import dotenv_values

    try:
        with path.open(encoding="utf-8") as file:
            found = dotenv_values(stream=file, interpolate=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"--env-file {path}: cannot be read ({why}); correct the path") from None
    if lacking := [name for name, value in found.items() if value is None]:
        where = f"line with {lacking[0]!r}" if lacking[0].isidentifier() else "a line"
        raise ConfigError(f"--env-file {path}: {where} has no `=`; write NAME=value")
    try:
        for name, value in found.items():
            os.environ.setdefault(name, str(value))
    except ValueError:  # a NUL, or an empty name
        raise ConfigError(f"--env-file {path}: has a line that sets no variable") from None
