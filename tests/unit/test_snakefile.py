"""What the rules look up, without Snakemake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config import load
from snakeval.errors import ConfigError
from snakeval.job import evaluation_directory
from snakeval.snakefile import Matrix, Wildcards
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


def test_what_is_saved_is_the_plan_scripts_to_run_by_hand_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_KEY", "sk-canary")
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    opened = matrix(tmp_path, content, runtime="process")
    opened.save()
    run = Path(opened.run)
    (evaluation,) = opened.everything
    assert evaluation_directory(run, evaluation).spec.exists()
    for name in ("config.yaml", "run_all.sh", "m/b/run.sh", ".snakeval/plan.json"):
        assert (run / name).exists(), name
    (saved,) = (tmp_path / "home" / "run_configs").iterdir()
    assert saved.read_bytes() == (run / "config.yaml").read_bytes()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if b"sk-canary" in path.read_bytes()]

    before = {path: path.stat().st_mtime_ns for path in files}
    matrix(tmp_path, content, runtime="process").save()
    assert {path: path.stat().st_mtime_ns for path in before if path.name != "c.yaml"} == {
        path: time for path, time in before.items() if path.name != "c.yaml"
    }


def test_what_was_saved_is_a_configuration_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    opened = matrix(tmp_path, runtime="process")
    opened.save()
    again, _, _ = load([Path(opened.run) / "config.yaml"])
    assert again == opened.config
