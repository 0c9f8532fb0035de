"""The docs site shows the files of the repository that its pages link to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hooks import links


@pytest.mark.parametrize(
    ("page", "target", "path"),
    [
        ("slurm.md", "../profiles/slurm/config.yaml", "profiles/slurm/config.yaml"),
        ("tutorials/a.md", "../../config/config.yaml", "config/config.yaml"),
        ("executors.md", "examples/snakeval-example", "docs/examples/snakeval-example"),
        ("slurm.md", "ledger.md", ""),
        ("tutorials/a.md", "../ledger.md", ""),
        ("slurm.md", "../no-such-file", ""),
        ("slurm.md", "../../outside", ""),
        ("slurm.md", "https://example.com/a", ""),
    ],
)
def test_a_link_leads_out_of_docs(page: str, target: str, path: str) -> None:
    assert links.outside(page, target) == path


def test_links_to_files_of_the_repository_become_links_to_their_pages() -> None:
    text = "[a](../Makefile), [b](ledger.md#x), [c](../nothing.md) and [d](../README.md#y)"
    assert links.rewritten("slurm.md", text) == (
        "[a](source/Makefile.md), [b](ledger.md#x), [c](../nothing.md) and [d](source/README.md.md)"
    )
    assert links.linked("slurm.md", text) == {"Makefile", "README.md"}
    assert links.rewritten("how/a.md", "[a](../../Makefile)") == "[a](../source/Makefile.md)"


def test_a_page_shows_a_file_and_counts_the_lines_that_it_omits(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("```\n" + "x: 1\n" * 404, encoding="utf-8")
    page = links.shown("a.yaml", tmp_path)
    assert "# `a.yaml`" in page
    assert "``````yaml\n```\nx: 1\n" in page
    assert page.endswith("\nThe file has 5 further lines.\n")


def test_a_page_lists_the_files_of_a_folder() -> None:
    assert "\n- `profiles/slurm/config.yaml`\n" in links.shown("profiles/slurm")


def test_no_page_has_the_script_of_another_host() -> None:
    html = '<p></p><script src="https://unpkg.com/iframe-worker/shim"></script>'
    assert links.without_shim("how/a.html", html) == (
        '<p></p><script src="../reference/worker.js"></script>'
    )
