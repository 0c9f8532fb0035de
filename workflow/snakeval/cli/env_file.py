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
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"--env-file {path}: cannot be read ({why}); correct the path") from None
    for line in lines:
        if line.error or (line.key is not None and line.value is None):
            text = line.original.string
            number = line.original.line + len(text) - len(text.lstrip("\n"))
            raise ConfigError(
                f"--env-file {path}: line {number} sets no variable; write NAME=value"
            )
    try:
        for line in lines:
            if line.key is not None:
                os.environ.setdefault(line.key, str(line.value))
    except ValueError:  # a NUL
        raise ConfigError(f"--env-file {path}: has a character that no variable can hold") from None
