"""The tutorials and the README work as printed: each command of a `console` block, and its output.

`make tutorials` runs this file. `make test` does not: it takes minutes, and each case of it has a
quicker test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.demo.server import serve
from support.consoles import Reader, blocks
from support.workspace import REPOSITORY

TUTORIALS = REPOSITORY / "docs/tutorials"
#: Pages without a console: they require GPUs or a service.
WITHOUT = {"index.md", "vllm.md", "lepton.md"}


def follow(page: Path, directory: Path) -> None:
    binaries = f"{REPOSITORY}/.venv/bin:{os.environ['PATH']}"
    home = {"HOME": str(directory), "SNAKEVAL_HOME": str(directory / "home"), "PATH": binaries}
    with serve() as server:
        replaced = {"http://localhost:8000": server.url, "/home/me/training": "CWD"}
        Reader(directory, {**os.environ, **home}).follow(page, replaced)


def test_each_page_with_a_console_is_followed() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    found = {page for page in pages if any(block.kind == "console" for block in blocks(page))}
    tutorials = {page for page in TUTORIALS.glob("*.md") if page.name not in WITHOUT}
    assert found == {REPOSITORY / "README.md", *tutorials}


def test_the_readme_works_as_it_is_printed(tmp_path: Path) -> None:
    follow(REPOSITORY / "README.md", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("endpoint.md", "gate.md", "benchmark.md", "checkpoints.md"),
        pytest.param("slurm.md", marks=pytest.mark.slurm),
    ],
)
def test_a_tutorial_works_as_it_is_printed(name: str, tmp_path: Path) -> None:
    follow(TUTORIALS / name, tmp_path)
