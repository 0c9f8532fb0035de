"""The limits of size: lines of a module, lines of a function, modules in the package's root.

A longer module or function states its reason in its docstring, on a line that begins with
``Long because``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("workflow", "scripts", "benchmarks", "docs", "tests")
MODULE_LINES = 300
FUNCTION_LINES = 60
ROOT_MODULES = 10
REASON = re.compile(r"^\s*Long because \S+ \S+ \S+", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                yield path


def sizes(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield each module and function of a file: name, lines, limit, and whether it has a reason."""
    tree = ast.parse(text)
    yield "", len(text.splitlines()), MODULE_LINES, has_reason(tree)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield node.name, lines, FUNCTION_LINES, has_reason(node)


def has_reason(node: ast.Module | Function) -> bool:
    return bool(REASON.search(ast.get_docstring(node) or ""))


def findings(text: str) -> list[str]:
    found = []
    for name, lines, limit, reason in sizes(text):
        what = f"{name} has {lines} lines".strip()
        if lines > limit and not reason:
            found.append(f"{what}, the limit is {limit}: split it, or write `Long because …`")
        if lines <= limit and reason:
            found.append(f"{what}: remove `Long because …`, since the limit is {limit}")
    return found


def test_a_long_module_or_function_states_its_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in python_files()
        for finding in findings(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_root_of_the_package_has_few_modules() -> None:
    modules = sorted(path.name for path in (ROOT / "workflow/snakeval").glob("*.py"))
    assert len(modules) <= ROOT_MODULES, modules


def test_every_folder_has_python_files() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in python_files()}
    assert found == set(FOLDERS)


def module(lines: int, reason: str = "") -> str:
    head = f'"""A module.\n{reason}\n"""\n'
    return head + "x = 1\n" * (lines - 3)


def function(lines: int, reason: str = "") -> str:
    head = f'class C:\n    async def f(self):\n        """A method.\n{reason}\n        """\n'
    return head + "        x = 1\n" * (lines - 4)


def test_one_line_over_the_limit_is_a_finding_and_the_limit_is_none() -> None:
    assert findings(module(MODULE_LINES)) == []
    assert len(findings(module(MODULE_LINES + 1))) == 1
    assert findings(function(FUNCTION_LINES)) == []
    assert findings(function(FUNCTION_LINES + 1))[0].startswith("f has 61 lines, the limit is 60")


def test_only_a_reason_in_words_excuses_and_only_where_it_is_needed() -> None:
    reason = "Long because one owner holds all files."
    assert findings(module(MODULE_LINES + 1, reason)) == []
    assert findings(function(FUNCTION_LINES + 1, reason)) == []
    assert len(findings(module(MODULE_LINES + 1, "Long because."))) == 1
    assert len(findings(module(MODULE_LINES + 1, "It is long because one owner holds it."))) == 1
    assert len(findings(module(MODULE_LINES, reason))) == 1
    assert len(findings(function(FUNCTION_LINES, reason))) == 1
