"""``snakeval help``: the help of a command, as ``snakeval COMMAND --help`` prints it."""

from __future__ import annotations

import click

from snakeval.cli.output import emit, json_switch, page, wants_json
from snakeval.errors import ConfigError


@click.command("help", short_help="Print the help of a command")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@json_switch
def command(words: tuple[str, ...]) -> None:
    """Print the help of a command, or of snakeval.

    \b
    snakeval help run
    snakeval help ls runs
    """
    context = click.get_current_context().find_root()
    for word in words:
        group = context.command
        if not isinstance(group, click.Group):
            raise ConfigError(f"{context.command_path} has no commands", hint=f"remove {word}")
        _, found, _ = group.resolve_command(context, [word])
        if found is None:
            raise ConfigError(f"{context.command_path} has no command {word}")
        context = click.Context(
            found, info_name=word, parent=context, help_option_names=["-h", "--help"]
        )
    text = context.get_help()
    if wants_json():
        emit({"command": context.command_path, "help": text})
    else:
        page(text.splitlines())
