"""Each directory of a run has one owner, and facts are data: no module parses a sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow/snakeval"
OWNERS = {
    "evaluation/attempts.py",
    "evaluation/directory.py",
    "run/directory.py",
    "run/saved.py",
    "serving/directory.py",
}
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
    ("config/usual.py", "config/config.yaml"): "the user's configuration",
    ("cli/project.py", "profiles/default/config.yaml"): "Snakemake's settings",
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
    assert found == {"evaluation/directory.py", "run/directory.py", "files/places.py"}


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


# --- facts are data, not sentences --------------------------------------------------------------

#: Modules of these folders that search texts with patterns, and what they read.
FACTS = ("cli", "dag", "evaluation", "executors", "jobs", "matrix", "results", "run", "watch")
PATTERNS = {
    "cli/info.py": "names of variables",
    "cli/launch/installation.py": "names of Snakemake's profile files",
    "cli/ls/runs.py": "a duration that the user writes",
    "cli/resume.py": "numbers of a version",
    "evaluation/canonical.py": "templates of commands that the user writes",
    "evaluation/progress.py": "progress bars of harnesses",
    "executors/lepton/endpoints.py": "a model's name",
    "executors/slurm/controller.py": "errors of Slurm's commands",
    "jobs/client_errors.py": "exceptions of HTTP clients in the logs of harnesses",
    "jobs/fault_words.py": "messages of endpoints about what they refuse",
    "jobs/refused_parameter.py": "messages of endpoints about parameters",
    "jobs/request_cause.py": "exceptions of HTTP clients in the logs of harnesses",
    "jobs/container.py": "the host in a URL that the user writes",
    "dag/endpoint_words.py": "messages of endpoints about what they refuse",
    "dag/open.py": "options of Snakemake",
    "matrix/expand.py": "patterns of names that the user writes",
    "results/comparison.py": "names of repeats",
    "results/report/samples.py": "names of its own files",
    "run/directory.py": "names of runs",
    "run/pins.py": "answers of registries",
    "watch/display/terminal.py": "escape sequences of a terminal",
    "watch/follow.py": "names of Snakemake's logs",
    "watch/old_runs.py": "logs of runs before there were events",
}
#: Methods that take a text apart.
TAKES_APART = {"endswith", "find", "index", "partition", "replace", "rpartition", "rsplit", "split"}
TAKES_APART |= {"startswith"}
#: Modules that read the errors of other libraries, whose texts are all that they have.
FOREIGN_ERRORS = {"exporters/__init__.py", "exporters/mlflow.py", "exporters/wandb.py"}


def parsed_errors(source: str) -> list[str]:
    """Return the expressions that search the text of an error, ``str(error)``, or its problem."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            searched = node.comparators[0]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_search = node.func.attr in TAKES_APART
            is_pattern = ast.unparse(node.func).startswith("re.") and len(node.args) > 1
            searched = node.func.value if is_search else node.args[1] if is_pattern else None
        else:
            continue
        if searched is not None and re.fullmatch(
            r"str\(\w*(error|problem)\)|\w*error\.(problem|hint)|\w+\.(reason|detail|text)",
            ast.unparse(searched),
        ):
            found.append(ast.unparse(node))
    return found


def test_each_module_that_searches_texts_has_a_reason() -> None:
    found = {
        module
        for module, source in modules()
        if module.split("/")[0] in FACTS and re.search(r"^import re$", source, re.MULTILINE)
    }
    assert found == PATTERNS.keys()


def test_no_module_parses_an_error_or_a_reason_of_snakeval() -> None:
    found = {
        module: parsed
        for module, source in modules()
        if module.split("/")[0] in (*FACTS, "exporters")
        and module not in FOREIGN_ERRORS
        and (parsed := parsed_errors(source))
    }
    # Whether the reason shows the job's id already; nothing is decided by it.
    assert found == {"cli/status_picture.py": ["state.job in state.reason"]}


@pytest.mark.parametrize(
    "source",
    [
        'if "gone" in str(error): pass',
        "raise E(str(error).replace(a, b))",
        'if state.reason.startswith("lost"): pass',
        'why = event.detail.partition(": ")[2]',
        'found = re.search("by (.*)", error.problem)',
    ],
)
def test_a_parsed_sentence_is_found(source: str) -> None:
    assert parsed_errors(source)


#: Modules that parse JSON or YAML themselves, with the reason.
PARSERS = {
    "files/parsing.py": "the owner",
    "config/yaml_file.py": "its own loader, with lines and columns",
    "demo/api.py": "a server for demonstrations, with files of its own",
    "demo/quiz.py": "an example that requires only the standard library",
    "demo/ledger.py": "a server for demonstrations, with files of its own",
    **{
        f"ledger/{name}.py": "it also runs in containers, with the standard library alone"
        for name in (
            "__main__",
            "around",
            "asked",
            "beside",
            "budget",
            "events",
            "reading",
            "records",
            "slots",
            "summary",
        )
    },
}
PARSING = re.compile(
    r"(?<!\w)(?:json\.loads?|yaml\.(?:safe_|full_|unsafe_)?load)\(|\.get_(?:single_)?data\("
)


def test_only_files_parses_json_and_yaml() -> None:
    found = {module for module, source in modules() if PARSING.search(source)}
    assert found - PARSERS.keys() == set(), "use json_value, json_object or yaml_value of files"
    assert PARSERS.keys() - found == set(), "an exception that no module needs"
