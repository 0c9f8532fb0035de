"""``snakeval completion``: lets a shell complete commands, options and ids of runs."""

from __future__ import annotations

import click

from snakeval.cli.output import emit_or_say, json_switch

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print the completion script of a shell")
@click.argument("shell", type=click.Choice(_SHELLS))
@json_switch
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, tasks and ids of runs.

    \b
    source <(snakeval completion bash)                                 in ~/.bashrc
    source <(snakeval completion zsh)                                  in ~/.zshrc
    snakeval completion fish > ~/.config/fish/completions/snakeval.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click has a class for each of these shells
    root = click.get_current_context().find_root().command
    script = found(root, {}, "snakeval", "_SNAKEVAL_COMPLETE").source()
    emit_or_say({"shell": shell, "script": script}, script)
