"""Every executor answers what commands ask; and no command knows an executor by its name."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval import executors, plugins
from snakeval.executors.base import Executor, Fate, Intent, Stage
from snakeval.run.directory import RunDirectory
from support.limits import HUNG
from support.packages import example
from support.served import wait_for
from support.workspace import REPOSITORY

PACKAGE = REPOSITORY / "workflow/snakeval"
#: Folders that know the seam, and no executor.
ABOVE = ("config", "run", "watch", "dag", "cli", "matrix", "results", "exporters", "jobs")
NAMES = {"slurm", "lepton", "slurm-resume"}
#: Texts that name an executor, with the reason. ARCHITECTURE.md explains what is plain data.
DATA = {
    ("config/nemo_launcher", "slurm"): "a key of the file that it writes",
    ("config/nemo_launcher", "lepton"): "a key of the file that it writes",
}


@pytest.mark.parametrize("executor", executors.built_in(), ids=lambda executor: executor.name)
def test_of_a_run_without_anything_it_knows_nothing_and_stops_nothing(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.setenv("PATH", "")
    run = RunDirectory(tmp_path / "2026-01-02-03-04-05-0123abcd")
    run.make()
    jobs = executor.jobs(run)
    assert (jobs.of("m/b"), [*jobs.all()], [*jobs.noted()]) == (None, [], [])
    assert ([*jobs.endpoints()], jobs.deploying("m"), jobs.silent) == ([], None, "")
    for evaluation in (None, "m/b"):
        looks = executor.stop(run, evaluation).looks
        assert [remain for stage in Stage if stage in looks for remain in looks[stage]()] == []
    assert executor.log(run, "m/b") is None
    assert not executor.leaves(run)
    assert not executor.has_served(run)
    said: list[str] = []
    executor.close(run, said.append)
    assert said == []


def test_a_run_whose_endpoints_are_gone_was_served_apart_from_jobs(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.endpoint_notes.mkdir(parents=True)
    served = [executor.name for executor in executors.built_in() if executor.has_served(run)]
    assert served == ["lepton"]


def test_each_declares_what_it_takes() -> None:
    slurm, lepton = executors.find("slurm"), executors.find("lepton")
    options, served = slurm.options(), lepton.deployment_options()
    assert options is not None
    assert served is not None
    assert slurm.resources().keys() <= options.model_fields.keys()
    assert "node_group" in served.model_fields
    assert "LEPTON_WORKSPACE_TOKEN" in lepton.credentials


def test_the_executor_of_a_snakemake_plugin_is_found() -> None:
    assert executors.of_plugin("slurm-resume").name == "slurm"
    assert executors.of_plugin("lepton").name == "lepton"
    assert type(executors.of_plugin("cluster-generic")) is Executor


def test_checks_before_the_first_job_find_problems_without_asking_a_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LEPTON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("LEPTON_WORKSPACE_ID", raising=False)
    starting = Intent(starting=True)
    for name in ("slurm", "lepton"):
        (check,) = executors.find(name).checks(starting)
        assert check.state == "wrong"
    assert [*executors.find("local").checks(starting)] == []


def test_an_executor_that_is_not_installed_any_more_leaves_a_doubt(tmp_path: Path) -> None:
    (tmp_path / ".snakeval").mkdir()
    RunDirectory(tmp_path).executors.write_text(json.dumps(["gone"]))
    *known, absent = executors.of_run(RunDirectory(tmp_path))
    assert [executor.name for executor in known] == [*plugins.BUILT_IN[plugins.EXECUTORS]]
    (remain,) = absent.stop(RunDirectory(tmp_path)).looks[Stage.LEFT]()
    assert remain.fate is Fate.UNKNOWN
    assert "jobs of the executor gone, perhaps: no 'gone' among the executors" in remain.text


def test_a_run_notes_installed_executors_only(tmp_path: Path) -> None:
    class Mine(Executor):
        name = "mine"

    (tmp_path / ".snakeval").mkdir()
    for executor in (executors.find("slurm"), Executor(), Mine(), Mine()):
        executors.note(RunDirectory(tmp_path), executor)
    assert json.loads(RunDirectory(tmp_path).executors.read_text()) == ["mine"]


def test_the_examples_job_lives_as_long_as_any_of_its_processes(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "2026-01-02-03-04-05-0123abcd")
    spool = run.of_executor("spool")
    spool.mkdir(parents=True)
    # Like a Snakemake that hangs, below a shell that ends at once.
    hung = "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"
    shell = subprocess.Popen(
        ["sh", "-c", f'sh -c "{hung}" & wait'], stdout=subprocess.PIPE, start_new_session=True
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == b"ready\n"
    outputs = [str(run.path.resolve() / "m/b/evaluation.json")]
    note = {"id": "a", "pid": shell.pid, "outputs": outputs}
    spool.joinpath("a.json").write_text(json.dumps(note))
    with example(tmp_path / "site"):
        look = executors.find("spool").stop(run).looks[Stage.WORKERS]
        (remain,) = look()
        _, end, kill = remain.acts
        assert end is not None
        assert kill is not None
        end()
        assert shell.wait(HUNG) != 0
        assert len([*look()]) == 1
        kill()
        wait_for(lambda: not [*look()], "the job is still there")


# --- the import rule ----------------------------------------------------------------------------


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ABOVE:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def named(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module that are an executor's name, or the name of its module."""
    modules = tuple(f"snakeval.executors.{name}" for name in executors_by_module())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if text in NAMES or any(text == m or text.startswith(f"{m}.") for m in modules):
                yield text


def executors_by_module() -> set[str]:
    """Return the modules and folders of :mod:`snakeval.executors` that belong to one executor."""
    found = {path.stem for path in (PACKAGE / "executors").iterdir() if path.stem[0] != "_"}
    return found - {"base", "stopping", "absent"}


def test_no_module_above_the_seam_imports_an_executor() -> None:
    modules = {f"snakeval.executors.{name}" for name in executors_by_module()}
    strays = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path, tree in sources()
        for name in imported(tree)
        if name in modules or name.startswith(tuple(f"{module}." for module in modules))
    ]
    assert strays == []


def test_no_module_above_the_seam_decides_by_an_executor_s_name() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), text) for path, tree in sources() for text in named(tree)
    }
    strays = {
        (path, text)
        for path, text in found
        if not any(path.startswith(f"{place}/") and text == word for place, word in DATA)
    }
    assert strays == set()


@pytest.mark.parametrize(
    "source",
    [
        'if executor.name == "slurm": pass',
        'match name:\n    case "lepton": pass',
        'stop = {"slurm": cancel}[name]',
        'executors.find("lepton").close(run)',
        'import_module("snakeval.executors.slurm.queue")',
        'words = ["python", "-m", "snakeval.executors.lepton"]',
    ],
)
def test_an_executor_s_name_is_found(source: str) -> None:
    assert [*named(ast.parse(source))]


def test_a_section_and_a_sentence_are_no_executor_s_name() -> None:
    source = 'asked = config.execution.slurm\nprint("a job of slurm")'
    assert [*named(ast.parse(source))] == []
