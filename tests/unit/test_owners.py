"""Each directory of a run has one owner: no other module knows its files' names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow/snakeval"
OWNERS = {"evaluation/directory.py", "run/directory.py", "serving/directory.py"}
#: The folder ``.snakeval`` of a run or an evaluation, or ``~/.snakeval``; no dotted module name.
PRIVATE = re.compile(r"(?<!\w)\.snakeval\b")
#: Names of files and folders of a run that mean nothing else. A name may end a longer path.
NAMES = re.compile(
    r"(?:^|/)(?:"
    r"(?:evaluation|failure|attempt|killed|run|plan|allocations|executors|deployment|delivered|resolved)\.json"
    r"|harness\.log|deploy\.log|server\.log|events\.jsonl|spent\.jsonl"
    r"|config\.yaml|results\.(?:csv|json|md)|report\.html|summary\.html"
    r"|run\.sh|run_all\.sh|serve\.sh|haproxy\.cfg|slurm_resume"
    r")(?![\w.])"
    # The beginnings of names that have a number or a name in them.
    r"|(?:^|/)(?:completion-|attempt-|server-|instance-|sbatch_)(?:\*|$)"
)
#: Texts with such a name that are no file of a run, with the reason.
OTHERS = {
    ("cli/config_option.py", "config/config.yaml"): "the user's configuration",
    ("cli/explain.py", "config/config.yaml"): "the user's configuration",
    ("dag/open.py", "config/config.yaml"): "the user's configuration",
    ("executors/slurm/queue.py", ".snakemake/slurm_resume"): "a folder of Snakemake's plugin",
    ("exporters/mlflow.py", "results.csv"): "the name at the destination",
    ("exporters/wandb.py", "results.csv"): "the name at the destination",
    ("exporters/local.py", "results.csv"): "a file of the export",
    ("exporters/local.py", "results.json"): "a file of the export",
    ("exporters/local.py", "results.md"): "a file of the export",
}
#: Names that no model may have. tests/unit/run/test_directory.py compares them with the owner's.
RESERVED = "config/types.py"


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def texts(source: str) -> Iterator[str]:
    """Yield the string literals of a module, parts of f-strings too, except docstrings."""
    nodes = list(ast.walk(ast.parse(source)))
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documents:
            yield node.value


def strangers(module: str, source: str) -> list[str]:
    """Return the names of a run's files that *module*, which is no owner, has in its texts."""
    found = [text for text in texts(source) if NAMES.search(text)]
    return [text for text in found if (module, text) not in OTHERS]


def test_three_files_hold_the_private_folders_name() -> None:
    found = {module for module, source in modules() if PRIVATE.search(source)}
    assert found == {"evaluation/directory.py", "run/directory.py", "files.py"}


def test_only_owners_know_the_names_of_a_runs_files() -> None:
    found = {
        module: names
        for module, source in modules()
        if module not in {*OWNERS, RESERVED} and (names := strangers(module, source))
    }
    assert found == {}


def test_each_exception_is_still_needed() -> None:
    sources = dict(modules())
    assert [key for key in OTHERS if key[1] not in texts(sources[key[0]])] == []


def test_no_module_finds_a_run_by_counting_parents() -> None:
    found = {module for module, source in modules() if re.search(r"\.parents\[", source)}
    assert found == {"cli/launch/installation.py"}  # from the package to the clone


def test_no_function_takes_a_path_for_a_run() -> None:
    pattern = re.compile(r"\brun: (?:Path|str \| Path|Path \| str)\b")
    assert [module for module, source in modules() if pattern.search(source)] == []


@pytest.mark.parametrize(
    "source",
    [
        'path = run / "results.csv"',
        'path = f"{run}/{name}/deployment.json"',
        'found = run.glob("*/*/attempt-*.log")',
        'def f():\n    """Return it."""\n    return place / "failure.json"',
    ],
)
def test_a_stranger_is_found(source: str) -> None:
    assert strangers("watch/view.py", source)


@pytest.mark.parametrize(
    "source", ['"""Reads results.csv."""', 'say("see the harness\'s log")', 'word = "snakeval.run"']
)
def test_prose_and_module_names_are_no_strangers(source: str) -> None:
    assert not strangers("watch/view.py", source)
    assert not PRIVATE.search(source)
