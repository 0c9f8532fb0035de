"""Writes the reference pages of the docs site from the code: ``make reference``.

A test compares the pages with the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click
from hooks import keys, messages, schema
from hooks.tables import GENERATED, row

from snakeval import catalogue, cli

DOCS = Path(__file__).resolve().parents[1]

# --- commands -------------------------------------------------------------------------------------


def commands() -> str:
    """Return the page of the commands and their options."""
    lines = [
        GENERATED + "# Command reference",
        "",
        "Every command and option. [Running](../command.md), [watching](../watching.md) and "
        "[discovery](../discovery.md) explain them. `snakeval help COMMAND` prints the same text.",
    ]
    context = click.Context(cli.app, info_name="snakeval")
    for name, command in _commands(cli.app, context):
        lines += ["", f"## `snakeval {name}`", "", *_help(command), ""]
        usage = [*command.collect_usage_pieces(click.Context(command))]
        lines += ["```text", " ".join(["snakeval", name, *usage]), "```"]
        options = [
            option
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden
        ]
        if options:
            lines += ["", "| option | meaning | default |", "|---|---|---|"]
            lines += [_option(option) for option in options]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield name, command
        if isinstance(command, click.Group):
            for inner, found in _commands(command, click.Context(command)):
                yield f"{name} {inner}", found


def _help(command: click.Command) -> list[str]:
    """Return the help of a command; paragraphs after ``\\b`` are examples."""
    lines = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += ["```text", paragraph.removeprefix("\b\n"), "```", ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    return lines[:-1]


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    is_bare = option.is_flag or option.count
    value = "" if is_bare else f" `{_metavar(option)}`"
    default = option.default
    has_default = not is_bare and isinstance(default, str | int | float) and default != ""
    return row(names + value, option.help or "", f"`{default}`" if has_default else "")


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    choices = getattr(option.type, "choices", ())
    return "|".join(map(str, choices)) or option.type.name.upper()


# --- tasks ----------------------------------------------------------------------------------------


def tasks() -> str:
    """Return the page of the catalogue's tasks, which a script filters."""
    everything = catalogue.tasks()
    lines = [
        GENERATED + "# Task catalogue",
        "",
        f"The {len(everything)} tasks that a benchmark may name. `snakeval ls tasks` lists them, "
        "and `snakeval info TASK` shows the parameters, variables and image of one. Several "
        "harnesses may share a name; write the whole name then.",
        "",
        '<input type="search" id="filter" class="filter" hidden aria-label="Filter the tasks" '
        'placeholder="Filter: gsm8k, chat, lm-eval …">',
        "",
        "| task | endpoint types |",
        "|---|---|",
    ]
    lines += [f"| `{t.qualified}` | {', '.join(t.endpoint_types)} |" for t in everything]
    return "\n".join(lines) + "\n"


# --- files ----------------------------------------------------------------------------------------

PAGES = {
    "reference/configuration.md": keys.page,
    "reference/commands.md": commands,
    "reference/tasks.md": tasks,
    "reference/messages.md": messages.page,
    "reference/configuration.schema.json": schema.as_text,
}


def write() -> None:
    """Write the generated files of the docs."""
    for name, text in PAGES.items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write()
