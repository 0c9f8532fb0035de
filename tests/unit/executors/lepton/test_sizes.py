"""Before a run: whose results will not fit the logs of their jobs, by earlier results."""

from __future__ import annotations

import random
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.definition import Evaluation
from snakeval.executors.lepton.sizes import warnings
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config
from support.made import Made

#: What the parser of Snakemake has for options that nobody gave.
SETTINGS = {"lepton_log_cap": MISSING, "lepton_s3_prefix": MISSING, "executor": "lepton"}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """An earlier run with a result of the benchmark `b`."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    run = Made(tmp_path, "b")
    run.done("b")
    return run


def evaluations(directory: Path, *models: str, **task: Any) -> list[Evaluation]:
    directory.mkdir(exist_ok=True)
    settings = {"models": dict.fromkeys(models, MODEL), "benchmarks": {"b": {**COMMAND, **task}}}
    return list(expand(config(directory, settings)))


def wrote(made: Made, name: str, size: int) -> None:
    path = made["b"].artifacts / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(1).randbytes(size))


def test_a_result_that_fits_is_not_mentioned(made: Made, tmp_path: Path) -> None:
    wrote(made, "samples.jsonl", 900_000)
    wrote(made, "cache/responses", 3_000_000)
    assert warnings(evaluations(tmp_path / "new", "m"), SETTINGS) == []


def test_of_a_large_result_only_scores_and_some_files_return(made: Made, tmp_path: Path) -> None:
    wrote(made, "samples.jsonl", 1_200_000)
    assert warnings(evaluations(tmp_path / "new", "m", "n"), SETTINGS) == [
        "Lepton: m/b, n/b: only scores and some other files will return by the jobs' logs, because "
        "the result of 0123abcd/m/b is larger than 1024 KiB packed; set lepton-s3-prefix or "
        "lepton-mount"
    ]


def test_scores_that_do_not_fit_are_a_failure_that_is_known(made: Made, tmp_path: Path) -> None:
    wrote(made, "f", 1_200_000)
    (line,) = warnings(evaluations(tmp_path / "new", "x"), SETTINGS)
    assert line.startswith("Lepton: x/b: the scores will not fit the jobs' logs, so it will fail,")


def test_text_that_packs_well_fits(made: Made, tmp_path: Path) -> None:
    (made["b"].artifacts / "samples.jsonl").write_text("the same line\n" * 1_000_000)
    assert warnings(evaluations(tmp_path / "new", "m"), SETTINGS) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"lepton_s3_prefix": "s3://bucket/x"}, {"lepton_mount": "node-nfs:x=/x"},
        {"lepton_transport": "s3"}, {"lepton_log_cap": 2048},
    ],
)  # fmt: skip
def test_another_transport_or_a_higher_cap_has_room(
    made: Made, tmp_path: Path, settings: dict[str, Any]
) -> None:
    wrote(made, "samples.jsonl", 1_200_000)
    assert warnings(evaluations(tmp_path / "new", "m"), SETTINGS | settings) == []


def test_a_result_of_another_task_or_number_of_samples_says_nothing(
    made: Made, tmp_path: Path
) -> None:
    wrote(made, "samples.jsonl", 1_200_000)
    assert warnings(evaluations(tmp_path / "new", "m", command="false"), SETTINGS) == []
    few = {"params": {"limit_samples": 3}}
    assert warnings(evaluations(tmp_path / "new", "m", **few), SETTINGS) == []


def test_a_damaged_or_unfinished_result_says_nothing(made: Made, tmp_path: Path) -> None:
    wrote(made, "samples.jsonl", 1_200_000)
    made["b"].spec.write_text("{")
    made["b"].published.write_text("[]")
    assert warnings(evaluations(tmp_path / "new", "m"), SETTINGS) == []
    made["b"].published.unlink()
    assert warnings(evaluations(tmp_path / "new", "m"), SETTINGS) == []
