"""Adds to the docs site the files of the repository that its pages link to.

The pages link to files outside ``docs/`` by relative paths, as GitHub reads them. The site is one
folder that works offline, so each such file becomes a page below ``source/``, and MkDocs checks the
links to it. A link to a missing file stays unchanged, and fails the build.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<after>(?:#[^)\s]*)?\))")
#: A page shows these many lines of a file at most.
_LINES = 400
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".json": "json"}


def outside(page: str, target: str, root: Path = ROOT) -> str:
    """Return the path in the repository of a link's target, or nothing if ``docs/`` has it.

    *page* is the page's path below ``docs/``.
    """
    if re.match(r"[a-z]+:|/", target):
        return ""
    path = os.path.normpath(Path("docs", page).parent / target)
    inside = path.startswith("docs/") and not path.startswith("docs/examples/")
    return "" if inside or path.startswith("..") or not (root / path).exists() else path


def source_page(path: str) -> str:
    """Return the name of the site's page that shows a file or folder of the repository."""
    return f"source/{path}.md"


def linked(page: str, markdown: str, root: Path = ROOT) -> set[str]:
    """Return the files and folders outside ``docs/`` that a page links to."""
    found = (outside(page, match["target"], root) for match in _LINK.finditer(markdown))
    return {path for path in found if path}


def rewritten(page: str, markdown: str, root: Path = ROOT) -> str:
    """Return a page whose links to the repository lead to the site's pages of these files."""

    def replace(match: re.Match[str]) -> str:
        path = outside(page, match["target"], root)
        if not path:
            return match[0]
        target = os.path.relpath(source_page(path), Path(page).parent)
        # These pages show a file as text, and have no headings to link to.
        return f"{match['before']}{target})"

    return _LINK.sub(replace, markdown)


def shown(path: str, root: Path = ROOT) -> str:
    """Return the Markdown of the page that shows a file or folder of the repository."""
    title = f"---\nsearch:\n  exclude: true\n---\n\n# `{path}`\n\n"
    file = root / path
    if file.is_dir():
        names = "\n".join(f"- `{found.relative_to(root).as_posix()}`" for found in _files(file))
        return f"{title}A folder of the repository:\n\n{names}\n"
    lines = file.read_text(encoding="utf-8").splitlines()
    rest = len(lines) - _LINES
    note = f"\nThe file has {rest} further lines.\n" if rest > 0 else ""
    fence = "`" * 6
    language = _LANGUAGES.get(file.suffix, "text")
    text = "\n".join(lines[:_LINES])
    return f"{title}A file of the repository:\n\n{fence}{language}\n{text}\n{fence}\n{note}"


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder, without hidden ones and caches."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts[:-1])
    ]


# --- events of MkDocs -----------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to."""
    from mkdocs.structure.files import File

    paths: set[str] = set()
    for file in files.documentation_pages():
        paths |= linked(file.src_uri, file.content_string)
    for path in sorted(paths):
        files.append(File.generated(config, source_page(path), content=shown(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files of the repository to their pages."""
    if page.file.src_uri.startswith("source/"):
        return markdown
    return rewritten(page.file.src_uri, markdown)


#: The theme asks another host for this script; ``reference/worker.js`` does the same.
_SHIM = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"></script>')


def without_shim(page: str, html: str) -> str:
    """Return a page with snakeval's script in place of the theme's; *page* is its path."""
    script = os.path.relpath("reference/worker.js", Path(page).parent)
    return _SHIM.sub(f'<script src="{script}"></script>', html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Keep the only script of another host out of a page; the search works offline."""
    return without_shim(page.file.dest_uri, output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Keep the script out of pages without Markdown, such as 404.html."""
    return without_shim(template_name, output_content)
