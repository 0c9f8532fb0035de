"""`snakeval ls`: what there is to evaluate, where, and what was evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.cli.launch import installation
from support.configs import VALID, write
from support.made import Made, snakeval
from support.packages import example

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and homes of its own."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "shared"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def listed(capsys: Capture, *words: str) -> list[dict[str, Any]]:
    said = snakeval(capsys, "ls", *words, "--json")
    assert said.exit_code == 0, said.err
    rows: list[dict[str, Any]] = json.loads(said.out)
    return rows


# --- tasks --------------------------------------------------------------------------------


def test_tasks_are_found_by_a_part_of_their_name_or_a_pattern(capsys: Capture) -> None:
    assert len(listed(capsys, "tasks")) > 500
    by_part = {row["task"] for row in listed(capsys, "tasks", "IFEVAL")}
    assert {"lm-eval.ifeval", "leaderboard_ifeval"} <= by_part
    by_pattern = listed(capsys, "tasks", "hellaswag*")
    assert all(row["task"].rpartition(".")[2].startswith("hellaswag") for row in by_pattern)


def test_a_name_that_harnesses_share_is_listed_as_it_must_be_written(capsys: Capture) -> None:
    names = [row["task"] for row in listed(capsys, "tasks", "gsm8k")]
    assert {"lm-eval.gsm8k", "lm-evaluation-harness.gsm8k"} <= set(names)
    assert len(set(names)) == len(names)


def test_tasks_are_filtered_by_harness_and_endpoint_type(capsys: Capture) -> None:
    rows = listed(capsys, "tasks", "--harness", "lm-eval", "--endpoint-type", "chat")
    assert {row["harness"] for row in rows} == {"lm-eval"}
    assert all("chat" in row["endpoint types"] for row in rows)
    said = snakeval(capsys, "ls", "tasks", "--harness", "lm-evl")
    assert (said.exit_code, said.err) == (
        2,
        "snakeval: no harness 'lm-evl' in the catalogue; did you mean 'lm-eval'?\n",
    )


def test_a_pattern_without_a_task_offers_the_nearest(capsys: Capture) -> None:
    said = snakeval(capsys, "ls", "tasks", "gsm8kk")
    assert said.out == ""
    assert "no task fits; did you mean 'gsm8k'" in said.err


# --- models -------------------------------------------------------------------------------


def test_models_are_those_of_the_configuration_here_and_of_runs(
    nowhere: Path, capsys: Capture
) -> None:
    models = {
        "m": VALID["models"]["m"],
        "served": {"deployment": {"kind": "vllm", "hf_model_handle": "org/model"}},
    }
    (nowhere / "work" / "config").mkdir()
    write(nowhere / "work" / "config", {**VALID, "models": models}, "config.yaml")
    run = Made(nowhere, "b")
    (run.path / "config.yaml").write_text(yaml.safe_dump(VALID))
    assert listed(capsys, "models") == [
        {
            "model": "m",
            "type": "chat",
            "served": "m at http://host/v1",
            "in": ["config/config.yaml", "0123abcd"],
        },
        {
            "model": "served",
            "type": "chat",
            "served": "deployment, vllm org/model",
            "in": ["config/config.yaml"],
        },
    ]


def test_the_model_of_a_launcher_configuration_is_listed(nowhere: Path, capsys: Capture) -> None:
    path = write(
        nowhere,
        {
            "target": {"api_endpoint": {"url": "http://host/v1", "model_id": "org/m"}},
            "evaluation": {"tasks": [{"name": "lm-eval.ifeval"}]},
        },
    )
    (model,) = listed(capsys, "models", "--config", str(path))
    assert model["served"] == "org/m at http://host/v1"


@pytest.mark.parametrize(
    "content",
    [
        VALID | {"models": {"m": {"deployment": {"kind": "parrot"}}}},
        {"deployment": {"type": "parrot"}, "evaluation": {"tasks": [{"name": "lm-eval.ifeval"}]}},
    ],
)
def test_a_model_that_an_installed_kind_serves_is_listed(
    nowhere: Path, capsys: Capture, content: dict[str, Any]
) -> None:
    path = write(nowhere, content)
    with example(nowhere / "site"):
        (model,) = listed(capsys, "models", "--config", str(path))
    assert model["served"] == "deployment, parrot"


def test_without_any_model_the_message_suggests_init(capsys: Capture) -> None:
    assert "snakeval init" in snakeval(capsys, "ls", "models").err


# --- runs, runtimes, profiles -------------------------------------------------------------


def test_runs_are_listed(nowhere: Path, capsys: Capture) -> None:
    Made(nowhere, "b").done("b")
    assert [row["id"] for row in listed(capsys, "runs")] == ["0123abcd"]


def test_each_runtime_answers_or_says_what_is_missing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("PATH", "/nowhere")
    docker, podman, apptainer, pyxis, process = listed(capsys, "runtimes")
    assert {row["answers"] for row in (docker, podman, apptainer, pyxis)} == {False}
    assert docker["problem"].endswith("start one, or set runtime: process")
    assert podman["problem"] == "there is no podman on the PATH; install it"
    assert apptainer["problem"].startswith("there is no apptainer and no singularity on the PATH")
    assert pyxis["problem"].startswith("there is no srun on the PATH")
    assert process["answers"] is True
    assert process["version"].startswith("Python 3")


def test_of_profiles_of_one_name_the_users_is_taken(nowhere: Path, capsys: Capture) -> None:
    own = nowhere / "own" / "snakemake" / "local"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("cores: 1\n")
    rows = [row for row in listed(capsys, "profiles") if row["profile"] == "local"]
    assert [(row["whose"], row["--profile takes it"]) for row in rows] == [
        ("yours", True),
        ("snakeval's", False),
    ]
    assert installation.find_profile("local") == "local"


def test_an_unknown_list_fails_and_the_known_ones_are_suggested(capsys: Capture) -> None:
    said = snakeval(capsys, "ls", "taks")
    assert said.exit_code == 2
    assert "tasks" in said.err
    assert snakeval(capsys, "ls").err.startswith("Usage: ")
