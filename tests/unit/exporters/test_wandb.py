"""`wandb`: the real library, offline and against a stand-in of the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from snakeval.evaluation.record import Metric
from support import forks, wandb_files
from support.limits import HUNG
from support.made import Made
from support.sampled import Sampled
from support.wandb_api import KEY, Wandb, serve


@pytest.fixture
def wandb() -> Iterator[Wandb]:
    with serve() as wandb:
        yield wandb


def exported(
    run: Made | Sampled, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for the library keeps a service."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    # No credentials or settings of the user. A fork could not have another HOME.
    home = run.path.parent / "home"
    private = {f"WANDB_{name}_DIR": str(home) for name in ("CONFIG", "CACHE", "DATA")}
    return forks.finished(
        [sys.executable, "-m", "snakeval", "export", "0123", "--dest", "wandb", *words],
        env={**clean, **private, "NETRC": str(home / "netrc"), **variables},
        timeout=HUNG,
    )


def offline(run: Made | Sampled, *words: str) -> dict[str, wandb_files.Offline]:
    """What stands in `export/wandb` after an export, by its name."""
    done = exported(run, *words, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    places = sorted((run.path / "export" / "wandb").glob("offline-run-*"))
    found = [wandb_files.read(place) for place in places]
    assert len({each.id for each in found}) == len(places)
    return {each.name: each for each in found}


def online(
    run: Made | Sampled, wandb: Wandb, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return exported(run, *words, WANDB_BASE_URL=wandb.url, WANDB_API_KEY=KEY, **variables)


# --- offline ------------------------------------------------------------------------------


def test_an_evaluation_is_a_run_with_scores_or_a_reason_and_the_newer_copy_stays(
    run: Made,
) -> None:
    words = ("--artifacts", "results*", "--tag", "team=nlp", "--set", "project=p")
    runs = offline(run, *words)
    assert set(runs) == {"m/good", "m/bad", "m/to_do"}
    good = runs["m/good"]
    assert (good.project, good.group) == ("p", run.path.name)
    assert good.summary["good/acc"] == 0.1234567890123456
    assert good.summary["good/acc_stderr"] == 0.05
    assert good.config["definition"]["model_id"] == "m"
    assert good.config["definition"]["fingerprint"] == run.evaluations["good"].fingerprint
    assert good.tags == ["complete", "team:nlp"]
    assert good.files == ["artifacts/results_1.json", "results.csv"]
    assert good.history == 0
    bad = runs["m/bad"]
    assert (bad.config["status"], bad.config["reason"]) == ("failed", "no such data set")
    assert bad.tags == ["partial", "team:nlp"]

    run.done("to_do", Metric("to_do", "acc", 0.5))
    after = offline(run, *words)
    assert {name: each.id for name, each in after.items()} == {
        name: each.id for name, each in runs.items()
    }
    assert after["m/to_do"].summary["to_do/acc"] == 0.5


def test_with_per_run_the_whole_run_is_one_entry(run: Made) -> None:
    ((name, whole),) = offline(run, "--set", "per=run").items()
    assert name == f"named {run.path.name}"
    assert whole.summary["m/good/good/acc"] == 0.1234567890123456
    assert whole.config["evaluations"] == {"done": 1, "failed": 1, "missing": 1}
    assert whole.summary["snakeval/partial"].startswith("partial: 1 of 3")


def test_a_series_is_one_run_whose_history_has_the_steps_of_the_training(
    training: Sampled,
) -> None:
    runs = offline(training)
    assert set(runs) == {"run7", "base/b"}
    rows = [(row["_step"], row["step"], row["b/b/acc"]) for row in runs["run7"].rows]
    assert rows == [(200, 200, 0.5), (1000, 1000, 1.0)]
    assert runs["run7"].summary["b/b/acc"] == 1.0
    assert runs["run7"].config["series"] == "run7"


# --- online -------------------------------------------------------------------------------


def test_a_second_export_creates_no_duplicate_and_a_new_result_updates_the_same_run(
    run: Made, wandb: Wandb
) -> None:
    for _ in range(2):
        done = online(run, wandb, "--artifacts", "results*")
        assert done.returncode == 0, done.stderr
    assert len(wandb.runs) == 3
    (good,) = (each for each in wandb.runs.values() if each.last("displayName") == "m/good")
    assert good.summary["good/acc"] == 0.1234567890123456
    assert good.history == []
    assert good.exit_code == 0
    assert [len(versions) for versions in wandb.artifacts.values()] == [1, 1, 1]
    assert any(name.endswith("/artifacts/results_1.json") for name in wandb.uploads)
    run.done("to_do", Metric("to_do", "acc", 0.5))
    online(run, wandb)
    (found,) = (each for each in wandb.runs.values() if each.last("displayName") == "m/to_do")
    assert found.summary["to_do/acc"] == 0.5
    assert found.last("tags") == ["complete"]


def test_a_series_gets_each_row_once(training: Sampled, wandb: Wandb) -> None:
    assert online(training, wandb).returncode == 0
    training.complete("run7@3000/b", [0, 0])
    assert online(training, wandb).returncode == 0
    (run,) = (each for each in wandb.runs.values() if each.last("displayName") == "run7")
    rows = map(json.loads, run.history)
    assert [(row["_step"], row["step"], row["b/b/acc"]) for row in rows] == [
        (200, 200, 0.5), (1000, 1000, 1.0), (3000, 3000, 0.0),
    ]  # fmt: skip


def test_files_that_do_not_arrive_are_reported(
    run: Made, wandb: Wandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(given: object) -> None:
        raise KeyError("storage is full")

    monkeypatch.setattr(wandb, "_CreateArtifact", refused)
    done = online(run, wandb, "--set", "attempts=1")
    assert done.returncode == 1
    assert "m/good, m/bad, m/to_do did not arrive (0 did): files did not arrive: " in done.stderr
    left = [path for path in run.path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in left)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "No API key configured. Use `wandb login` to log in; export WANDB_API_KEY"),
        ({"WANDB_API_KEY": "f" * 40}, "W&B refuses the key of WANDB_API_KEY ("),
    ],
)
def test_wrong_credentials_are_one_sentence_without_the_key(
    run: Made, wandb: Wandb, variables: dict[str, str], sentence: str
) -> None:
    done = exported(run, WANDB_BASE_URL=wandb.url, **variables)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "f" * 40 not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_if_wandb_is_switched_off_no_delivery_is_reported(run: Made) -> None:
    done = exported(run, WANDB_MODE="disabled")
    assert done.returncode == 1
    assert (
        "did not arrive (0 did): WANDB_MODE or WANDB_DISABLED switches W&B off; unset it"
        in done.stderr
    )


def test_a_server_that_does_not_answer_is_one_sentence(run: Made, wandb: Wandb) -> None:
    wandb.fail = 429
    done = online(run, wandb, "--set", "attempts=1", WANDB_HTTP_TIMEOUT="2")
    assert done.returncode == 1
    assert "m/good, m/bad, m/to_do did not arrive (0 did): W&B does not answer" in done.stderr
    assert not list(Path(run.cwd / "home").glob(".netrc"))


def test_the_command_ends_even_if_the_librarys_service_hangs(
    run: Made, wandb: Wandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_it(given: object) -> None:
        for child in psutil.Process().children(recursive=True):
            if child.name() == "wandb-core":
                child.suspend()

    monkeypatch.setattr(wandb, "_Viewer", stop_it)
    done = online(run, wandb, "--set", "attempts=1", WANDB_HTTP_TIMEOUT="1")
    assert done.returncode == 1
    assert "m/good, m/bad, m/to_do did not arrive (0 did): W&B does not answer" in done.stderr
