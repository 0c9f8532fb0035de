"""What the rules look up, without Snakemake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.load import load
from snakeval.dag.lookup import Wildcards
from snakeval.dag.matrix import Matrix
from snakeval.errors import ConfigError
from snakeval.evaluation.directory import evaluation_directory
from snakeval.matrix.durations import Durations
from snakeval.serving.plan import Plan
from support.configs import COMMAND, MODEL, changed, write

TWO = {"models": {"m": MODEL, "n": MODEL}, "benchmarks": {"b": COMMAND, "c": COMMAND}}


def matrix(directory: Path, content: dict[str, Any] = TWO, **overrides: Any) -> Matrix:
    config, selection, _ = load(
        [write(directory, content)], {"output_dir": str(directory / "out")} | overrides
    )
    return Matrix(config, selection)


def wildcards(model: str, benchmark: str) -> Wildcards:
    class Found:
        def __init__(self) -> None:
            self.model, self.benchmark = model, benchmark

    return Found()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("home") / "snakeval"
    monkeypatch.setenv("SNAKEVAL_HOME", str(place))
    return place


def test_opening_it_writes_nothing(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    opened.check({})
    opened.notes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_there_is_a_record_for_each_chosen_evaluation(tmp_path: Path) -> None:
    every = matrix(tmp_path)
    assert [Path(record).relative_to(every.run).as_posix() for record in every.records()] == [
        f"{model}/{benchmark}/evaluation.json" for model in "mn" for benchmark in "bc"
    ]
    chosen = matrix(tmp_path, models="n", benchmarks=["c"])
    assert len(chosen.records()) == 1
    assert len(chosen.everything) == 4
    assert chosen.plan == every.plan, "the table holds all, whatever is chosen"


def test_an_evaluation_that_is_not_of_the_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="m/nosuch is no evaluation of this run"):
        matrix(tmp_path)[wildcards("m", "nosuch")]


def test_a_choice_in_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no evaluation is in both; choose more"):
        matrix(tmp_path, TWO | {"exclude": ["m/b"]}, models="m", benchmarks="b")


def test_the_fingerprint_is_the_evaluations(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    found = opened[wildcards("n", "c")]
    assert (found.model, found.benchmark) == ("n", "c")
    assert opened.fingerprint(wildcards("n", "c")) == found.fingerprint


def test_equal_resources_are_a_number_and_others_are_looked_up(tmp_path: Path) -> None:
    content = TWO | {"resources": {"gpus": 1, "mem_mb": 100}}
    content["benchmarks"] = {"b": COMMAND, "c": COMMAND | {"resources": {"mem_mb": 200}}}
    opened = matrix(tmp_path, content)
    assert (opened.resource("gpus"), opened.resource("runtime")) == (1, 0)
    memory = opened.resource("mem_mb")
    assert callable(memory)
    assert [memory(wildcards("m", benchmark)) for benchmark in "bc"] == [100, 200]


def test_a_variable_that_is_unset_or_empty_is_named_once_with_its_key(tmp_path: Path) -> None:
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    content["models"]["n"] = MODEL
    content["benchmarks"] = {"b": COMMAND | {"env": ["TOKEN"]}, "c": COMMAND}
    opened = matrix(tmp_path, content)
    for environment in ({}, {"MY_KEY": ""}):
        with pytest.raises(ConfigError) as refused:
            opened.check(environment)
        assert str(refused.value).splitlines() == [
            "models.m.endpoint.api_key_name: $MY_KEY is not set; export it",
            "benchmarks.b.env: $TOKEN is not set; export it",
        ]
    opened.check({"MY_KEY": "k", "TOKEN": ""})
    matrix(tmp_path, content, models="n", benchmarks="c").check({})


def test_an_output_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    opened = matrix(tmp_path, output_dir=str(tmp_path / "c.yaml" / "out"))
    with pytest.raises(ConfigError, match=r"output_dir: .*c\.yaml is a file; name a directory"):
        opened.check({})


def test_a_run_is_said_to_be_new_until_it_has_begun(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    assert "(new): 4 evaluations in" in opened.notes()[0]
    Path(opened.run).mkdir(parents=True)
    assert "(continues): 4 evaluations in" in matrix(tmp_path).notes()[0]


def test_the_plan_changes_with_what_the_table_shows_and_with_nothing_else(tmp_path: Path) -> None:
    plan = matrix(tmp_path).plan
    assert matrix(tmp_path, params={"parallelism": 9}).plan == plan
    assert matrix(tmp_path, TWO | {"exclude": ["m/b"]}).plan != plan
    assert matrix(tmp_path, params={"top_p": 0.5}).plan != plan
    samples = {"file": "s.jsonl", "scores": {"v": "v"}}
    told = COMMAND | {"metrics": {**COMMAND["metrics"], "samples": samples}}
    told = TWO | {"benchmarks": {"b": told, "c": COMMAND}}
    assert matrix(tmp_path, told).plan != plan, "intervals are made of samples"


def test_what_is_saved_is_the_plan_scripts_to_run_by_hand_and_no_secret(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary")
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    opened = matrix(tmp_path, content, runtime="process")
    opened.save()
    run = Path(opened.run)
    (evaluation,) = opened.everything
    assert evaluation_directory(run, evaluation).spec.exists()
    for name in ("config.yaml", "run_all.sh", "m/b/run.sh", ".snakeval/plan.json"):
        assert (run / name).exists(), name
    (saved,) = (home / "run_configs").iterdir()
    assert saved.read_bytes() == (run / "config.yaml").read_bytes()
    files = [path for place in (tmp_path, home) for path in place.rglob("*") if path.is_file()]
    assert not [path for path in files if b"sk-canary" in path.read_bytes()]

    # The index tells when a run was started last.
    before = {path: path.stat().st_mtime_ns for path in files if path.parent != home / "runs"}
    matrix(tmp_path, content, runtime="process").save()
    assert {path: path.stat().st_mtime_ns for path in before if path.name != "c.yaml"} == {
        path: time for path, time in before.items() if path.name != "c.yaml"
    }


def test_what_was_saved_is_a_configuration_again(tmp_path: Path) -> None:
    opened = matrix(tmp_path, runtime="process")
    opened.save()
    again, _, _ = load([Path(opened.run) / "config.yaml"])
    assert again == opened.config


# --- deployments ------------------------------------------------------------------------------

SERVER = {"kind": "generic", "command": "serve --port {{ port }}", "runtime": "process"}


def serving(**content: Any) -> dict[str, Any]:
    """Two deployed models on two benchmarks, which ask a deployed judge."""
    asks = COMMAND | {"auxiliary": ["judge"]}
    return {
        "runtime": "process",
        "models": {"m": {"deployment": SERVER | {"gpus": 2}}, "n": {"deployment": SERVER}},
        "auxiliary": {"judge": {"deployment": SERVER}, "unasked": {"deployment": SERVER}},
        "benchmarks": {"b": asks, "c": asks},
    } | content


class Model:
    """The wildcards of the rule that deploys."""

    def __init__(self, model: str) -> None:
        self.model, self.deployment = model, "deployment"


def order(opened: Matrix) -> list[str]:
    """The jobs of a run, those first that Snakemake prefers."""
    priority = opened.priority
    assert isinstance(priority, Callable)
    jobs = {f"{m}/{b}": priority(wildcards(m, b)) for m, b in opened.selected}
    jobs |= {f"deploy {m}": opened.deploy_priority(Model(m)) for m, _ in opened.selected}
    assert len({*jobs.values()}) == len(jobs)
    return sorted(jobs, key=lambda job: -jobs[job])


def learn(opened: Matrix, **seconds: float) -> None:
    known = Durations({})
    for evaluation in opened.everything:
        known.learn(evaluation, seconds[evaluation.benchmark])
    known.save()


def test_an_evaluation_needs_the_records_of_its_servers(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving())
    assert isinstance(opened.servers, Callable)
    assert [
        Path(record).relative_to(opened.run).as_posix()
        for record in opened.servers(wildcards("m", "b"))
    ] == ["m/deployment/deployment.json", "judge/deployment/deployment.json"]
    assert (opened.gpus(Model("m")), opened.gpus(Model("n"))) == (2, 0)
    assert matrix(tmp_path).servers == [], "no function, which Snakemake would call for each job"


def test_models_come_one_after_the_other_and_each_server_before_its_evaluations(
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


def test_a_server_that_several_models_evaluations_wait_for_comes_first(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving(benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}}))
    priorities = {name: opened.deploy_priority(Model(name)) for name in ("m", "n", "judge")}
    assert priorities["judge"] >= priorities["m"] > priorities["n"]


def test_where_nothing_is_deployed_and_nothing_known_there_is_no_order(tmp_path: Path) -> None:
    opened = matrix(tmp_path)
    assert opened.priority == 0, "no function, which Snakemake would call for each job"
    learn(opened, b=1, c=2)
    longest_first = matrix(tmp_path).priority
    assert isinstance(longest_first, Callable)
    assert longest_first(wildcards("m", "c")) > longest_first(wildcards("m", "b"))


def test_a_variable_of_a_server_that_is_unset_is_named(tmp_path: Path) -> None:
    content = serving(benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}})
    content["models"]["m"] = {"deployment": SERVER | {"env": ["HF_TOKEN"]}}
    content["auxiliary"]["judge"] = {"deployment": SERVER | {"env": {"KEY": "MY_KEY"}}}
    content["auxiliary"]["unasked"] = {"deployment": SERVER | {"env": ["NOBODY_NEEDS"]}}
    opened = matrix(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        opened.check({})
    assert str(refused.value).splitlines() == [
        "models.m.deployment.env: $HF_TOKEN is not set; export it",
        "auxiliary.judge.deployment.env: $MY_KEY is not set; export it",
    ]
    opened.check({"HF_TOKEN": "", "MY_KEY": ""})


def test_what_is_deployed_is_saved_for_the_jobs_in_the_order_of_loading(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving())
    opened.save()
    plans = sorted(Plan.all(Path(opened.run)), key=lambda plan: plan.rank)
    assert [plan.name for plan in plans] == ["m", "n", "judge"]
    fingerprints = {evaluation.id: evaluation.fingerprint for evaluation in opened.everything}
    assert dict(plans[0].evaluations) == {id: fingerprints[id] for id in ("m/b", "m/c")}
    assert dict(plans[2].evaluations) == fingerprints


def test_what_schedulers_are_asked_for_is_a_value_or_where_it_differs_looked_up(
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
