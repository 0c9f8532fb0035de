"""Every command line of the README and the docs has commands and options that exist.

`make tutorials` types the blocks ``console``. Other blocks have commands for other machines, such
as clusters: their words are checked here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from snakeval import cli
from support.consoles import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def lines(page: Path) -> Iterator[str]:
    """Yield the command lines of `snakeval` in the blocks of *page*."""
    for block in blocks(page):
        if block.kind in ("", "sh", "bash", "console"):
            joined = re.sub(r"\\\n\s*", "", block.text)
            for line in joined.splitlines():
                for part in line.removeprefix("$ ").split(" && "):
                    if part.startswith("snakeval ") and "…" not in part.split()[1]:
                        yield part


def wrong(line: str) -> str:
    """Return the first word of a command line that snakeval does not know, or nothing."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli.app
    context = click.Context(command, info_name="snakeval")
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            return words[0]
        command, context = found, click.Context(found, parent=context)
        words.pop(0)
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    own = words[: words.index("--")] if "--" in words else words
    options = [word.partition("=")[0] for word in own if re.match(r"--?[a-zA-Z]", word)]
    return next((name for name in options if name not in known), "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_of_a_page_exist(page: Path) -> None:
    found = {line: word for line in lines(page) if (word := wrong(line))}
    assert found == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("snakeval run a.yaml --limit 10 -- --cores 2  # --no", ""),
        ("snakeval profiles install --force", ""),
        ("snakeval runs", "runs"),
        ("snakeval run --limits=10", "--limits"),
        ("snakeval profiles remove", "remove"),
    ],
)
def test_an_unknown_word_is_found(line: str, expected: str) -> None:
    assert wrong(line) == expected
