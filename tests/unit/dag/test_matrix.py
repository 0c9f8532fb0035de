"""The lookups of the rules, without Snakemake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakeval.dag.matrix import Matrix
from snakeval.dag.preflight import check
from snakeval.executors.base import Executor
from snakeval.matrix.durations import Durations
from support.configs import COMMAND, MODEL
from support.invocations import TWO, matrix, serving, wildcards


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("home") / "snakeval"
    monkeypatch.setenv("SNAKEVAL_HOME", str(place))
    return place


def test_opening_a_matrix_writes_nothing(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    check(opened.invocation, {})
    opened.notes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_wildcards_find_the_fingerprint_of_an_evaluation(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    found = opened[wildcards("n", "c")]
    assert (found.model, found.benchmark) == ("n", "c")
    assert opened.fingerprint(wildcards("n", "c")) == found.fingerprint


def test_equal_resources_are_a_number_and_different_ones_a_lookup(tmp_path: Path) -> None:
    content = TWO | {"resources": {"gpus": 1, "mem_mb": 100}}
    content["benchmarks"] = {"b": COMMAND, "c": COMMAND | {"resources": {"mem_mb": 200}}}
    opened = matrix(tmp_path, content)
    assert (opened.resource("gpus"), opened.resource("runtime")) == (1, 0)
    memory = opened.resource("mem_mb")
    assert callable(memory)
    assert [memory(wildcards("m", benchmark)) for benchmark in "bc"] == [100, 200]


class Model:
    """The wildcards of the rule that deploys."""

    def __init__(self, model: str) -> None:
        self.model, self.deployment = model, "deployment"


def order(opened: Matrix) -> list[str]:
    """The jobs of a run, those first that Snakemake prefers."""
    priority = opened.priority
    assert isinstance(priority, Callable)
    jobs = {f"{m}/{b}": priority(wildcards(m, b)) for m, b in opened.invocation.selected}
    jobs |= {f"deploy {m}": opened.deploy_priority(Model(m)) for m, _ in opened.invocation.selected}
    assert len({*jobs.values()}) == len(jobs)
    return sorted(jobs, key=lambda job: -jobs[job])


def learn(opened: Matrix, **seconds: float) -> None:
    known = Durations({})
    for evaluation in opened.invocation.everything:
        known.learn(evaluation, seconds[evaluation.benchmark])
    known.save()


def test_the_records_of_its_servers_are_inputs_of_an_evaluation(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving())
    assert isinstance(opened.servers, Callable)
    assert [
        Path(record).relative_to(opened.run).as_posix()
        for record in opened.servers(wildcards("m", "b"))
    ] == ["m/deployment/deployment.json", "judge/deployment/deployment.json"]
    assert (opened.gpus(Model("m")), opened.gpus(Model("n"))) == (2, 0)
    assert matrix(tmp_path).servers == [], "no function, which Snakemake would call for each job"


def test_models_run_in_turn_and_each_server_before_its_evaluations(
    tmp_path: Path,
) -> None:
    content = serving()
    content["benchmarks"] = {"long": COMMAND | {"task": "l"}, "short": COMMAND | {"task": "s"}}
    opened = matrix(tmp_path, content)
    learn(opened, long=60, short=5)
    assert order(matrix(tmp_path, content)) == [
        "deploy m", "m/long", "m/short", "deploy n", "n/long", "n/short",
    ]  # fmt: skip
    learn(opened, long=1, short=5)
    assert order(matrix(tmp_path, content)) == [
        "deploy m", "m/short", "m/long", "deploy n", "n/short", "n/long",
    ]  # fmt: skip


def test_a_server_that_several_models_ask_starts_first(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving(benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}}))
    priorities = {name: opened.deploy_priority(Model(name)) for name in ("m", "n", "judge")}
    assert priorities["judge"] >= priorities["m"] > priorities["n"]


def test_without_deployments_and_durations_all_priorities_are_equal(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    assert opened.priority == 0, "no function, which Snakemake would call for each job"
    learn(opened, b=1, c=2)
    longest_first = matrix(tmp_path).priority
    assert isinstance(longest_first, Callable)
    assert longest_first(wildcards("m", "c")) > longest_first(wildcards("m", "b"))


def test_an_equal_request_is_a_value_and_a_different_one_a_lookup(
    tmp_path: Path,
) -> None:
    asked = {"account": "a", "partition": "gpu", "cpu_partition": "cpu", "walltime": "01:00:00"}
    opened = matrix(tmp_path, serving(execution={"slurm": asked}))
    assert opened.site_of_deployments == {"slurm_account": "a", "slurm_partition": "gpu"}
    mixed = serving(execution={"slurm": asked})
    mixed["models"]["e"] = MODEL
    mixed["benchmarks"] = {"b": COMMAND}
    site = matrix(tmp_path, mixed).site
    assert site["slurm_account"] == "a"
    assert [site["slurm_partition"](wildcards(m, "b")) for m in "me"] == ["gpu", "cpu"]
    assert matrix(tmp_path, serving()).site == {}, "the profile's own hold"


def test_the_executor_is_looked_up_once_and_not_for_each_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    monkeypatch.setattr(
        "snakeval.dag.matrix.of_plugin", lambda name: searches.append(name) or Executor()
    )
    opened = matrix(tmp_path, serving())
    opened._workflow.executor_plugin = SimpleNamespace(name="dryrun")
    assert [opened.allocation(wildcards(m, "b")) for m in "mn"] == ["m", "n"]
    assert searches == ["dryrun"]
