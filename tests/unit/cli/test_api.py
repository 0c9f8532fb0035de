"""The functions of the package `snakeval`: run, results, samples."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

import snakeval
from snakeval.cli import api
from snakeval.cli.launch import snakemake_process
from snakeval.config.load import load
from snakeval.errors import ConfigError, EvaluationError
from snakeval.run.directory import RunDirectory
from support.configs import COMMAND, VALID, write
from support.made import Made
from support.sampled import Sampled


def saved(argv: list[str]) -> Any:
    return load([Path(argv[argv.index("--configfile") + 1])])[0]


def test_the_functions_stay_although_folders_have_their_names() -> None:
    for name in ("run.find", "results.table", "run", "results"):
        assert importlib.import_module(f"snakeval.{name}").__name__ == f"snakeval.{name}"
    assert (snakeval.run, snakeval.results, snakeval.samples) == (api.run, api.results, api.samples)
    with pytest.raises(AttributeError, match="no attribute 'resluts'"):
        _ = snakeval.resluts


def test_a_file_runs_as_the_command_runs_it(place: Path, ran: list[list[str]]) -> None:
    changed = {"overrides": "+params.top_p=0.5", "benchmarks": "b", "limit": 3}
    run = snakeval.run("c.yaml", **changed, options=["--cores", "1"], dry_run=True)
    assert run.parent == place / "results"
    ((*_, config, chosen, dry_run),) = ran
    assert (config, chosen, dry_run) == ("--config", "benchmarks=b", "--dry-run")
    assert "--cores" in ran[0]
    params = saved(ran[0]).params
    assert (params.top_p, params.limit_samples) == (0.5, 3)


def test_keys_are_a_configuration_whose_paths_start_here(place: Path, ran: list[list[str]]) -> None:
    (place / "data").mkdir()
    (place / "data" / "q").write_text("1")
    keys = VALID | {"benchmarks": {"b": COMMAND | {"files": "data"}}}
    snakeval.run(keys, dry_run=True)
    write(place, keys, "same.yaml")
    snakeval.run(place / "same.yaml", dry_run=True)
    assert saved(ran[0]).benchmarks == saved(ran[1]).benchmarks


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none.yaml",), r"none.yaml: no such file"),
        (({"modles": {}},), r"the configuration: unknown key 'modles'; did you mean"),
        ((VALID, {"models": ["q"]}), r"--config models: no 'q' in the configuration"),
        ((VALID, {"limit": 0}), r"limit_samples"),
        ((VALID, {"overrides": "name=x"}), r"overrides change a file; change the keys"),
        ((VALID, {"profile": "locl"}), r"--profile locl: no such profile"),
    ],
)
def test_bad_arguments_raise_and_nothing_runs(
    place: Path, ran: list[list[str]], arguments: tuple[Any, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        snakeval.run(arguments[0], **dict(*arguments[1:]))
    assert not ran


@pytest.mark.parametrize(
    ("code", "wanted"), [(1, EvaluationError), (2, EvaluationError), (130, KeyboardInterrupt)]
)
def test_a_run_without_a_table_raises(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int, wanted: type[BaseException]
) -> None:
    monkeypatch.setattr(snakemake_process, "run", lambda argv, offer, **_: code)
    with pytest.raises(wanted):
        snakeval.run("c.yaml")


def test_a_failed_evaluation_raises_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snakemake_process, "run", lambda argv, offer, **_: 1)
    monkeypatch.setattr(RunDirectory, "read_table", lambda self: [])
    assert snakeval.run("c.yaml").parent == place / "results"


def test_results_are_the_rows_of_a_part_of_a_run(place: Path) -> None:
    made = Made(place, "good", "bad")
    made.done("good")
    frame = snakeval.results(made.path)
    assert list(frame["benchmark"]) == ["good", "bad"]
    again = snakeval.results("0123/m/bad")  # a second call, after the folder was imported
    assert list(again["status"]) == ["pending"]


def test_samples_are_those_of_finished_evaluations(place: Path) -> None:
    made = Sampled(place, {"a": {"x": [1, 0], "y": None}, "b": {"x": [1, 1], "y": [0, 1]}})
    frame = snakeval.samples(made.path)
    assert tuple(frame.columns) == api.SAMPLES
    assert frame.groupby(["model", "benchmark"])["score"].sum().to_dict() == {
        ("a", "x"): 1,
        ("b", "x"): 2,
        ("b", "y"): 1,
    }
    (row,) = snakeval.samples(f"{made.path}/a/x").query("id == 'q1'").to_dict("records")
    assert (row["metric"], row["score"], row["question"]) == ("acc", 0.0, "Question 1?")
    made.logged("b/y", b"damaged\n")
    with pytest.raises(EvaluationError, match=r"^b/y: "):
        snakeval.samples(made.path)


def test_a_run_without_samples_has_no_rows_and_all_columns(place: Path) -> None:
    made = Made(place, "good", "to_do")
    made.done("good")
    frame = snakeval.samples(made.path)
    assert (len(frame), tuple(frame.columns)) == (0, api.SAMPLES)
