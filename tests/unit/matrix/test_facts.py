"""What a dry run knows without sending or reading anything, and what a start resolves."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.dag.announce import unknown
from snakeval.dag.invocation import Invocation
from snakeval.dag.matrix import Matrix
from snakeval.dag.on_start import Start
from snakeval.executors.base import Executor
from snakeval.serving import sampled_weights, weights
from snakeval.serving.deployment import Deployment
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from support.configs import changed
from support.invocations import Workflow, invocation
from support.made import begin, completion


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "weights/model.gguf"
    path.parent.mkdir()
    edited(path, b"1")
    return path


def edited(path: Path, content: bytes, age: float = 3600) -> None:
    path.write_bytes(content)
    moment = time.time() - age
    os.utime(path, (moment, moment))


def start(tmp_path: Path, content: dict[str, Any]) -> Invocation:
    """Start the run, as far as the head does before the first job."""
    opened = invocation(tmp_path, content, starts=True)
    matrix = Matrix(opened, Workflow())
    Start(opened, matrix.allocations, remote=False, executor=Executor()).write()
    return opened


def served(**deployment: Any) -> dict[str, Any]:
    spec = {"kind": "generic", "command": "serve", "checkpoint_path": "weights"} | deployment
    return changed("models", "m", to={"deployment": spec}) | {"runtime": "process"}


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make each reading of weights an error."""

    def never(*arguments: object) -> str:
        raise AssertionError("weights are read")

    monkeypatch.setattr(weights, "_of_file", never)
    monkeypatch.setattr(sampled_weights, "checkpoint_digest", never)
    return monkeypatch


def fingerprint(opened: Invocation) -> str:
    return opened.everything[0].fingerprint


def test_a_dry_run_of_a_new_run_reads_no_weights_and_says_so(
    tmp_path: Path, checkpoint: Path, unread: pytest.MonkeyPatch
) -> None:
    opened = invocation(tmp_path, served())
    assert unknown(opened) == [f"Weights of m: not hashed yet; a start hashes {checkpoint.parent}"]


def test_a_start_hashes_once_and_the_next_plans_read_nothing(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    first = start(tmp_path, served())
    monkeypatch.setattr(weights, "_of_file", None)
    for starts in (False, True):
        again = invocation(tmp_path, served(), starts=starts)
        assert (fingerprint(again), again.facts.unhashed) == (fingerprint(first), {})
    # Another machine has no kept digests, but the run's plan has one.
    (home / "weights").rename(home / "gone")
    again = invocation(tmp_path, served())
    assert (fingerprint(again), again.facts.unhashed) == (fingerprint(first), {})


def test_changed_weights_list_no_rerun_until_a_start_hashes_them(
    tmp_path: Path, checkpoint: Path
) -> None:
    first = start(tmp_path, served())
    edited(checkpoint, b"2", age=1800)
    looked = invocation(tmp_path, served())
    assert fingerprint(looked) == fingerprint(first)
    assert [*looked.facts.unhashed] == ["m"]
    assert fingerprint(invocation(tmp_path, served(), starts=True)) != fingerprint(first)
    known = invocation(tmp_path, served())
    assert (fingerprint(known) != fingerprint(first), known.facts.unhashed) == (True, {})


def test_weights_by_stat_are_never_read_and_their_identity_says_so(
    tmp_path: Path, checkpoint: Path, unread: pytest.MonkeyPatch
) -> None:
    content = served(weights_digest="stat")
    first = start(tmp_path, content)
    assert first.everything[0].identity.deployment["weights"].startswith("stat:")
    assert fingerprint(invocation(tmp_path, content)) == fingerprint(first)
    edited(checkpoint, b"1", age=1800)
    assert fingerprint(invocation(tmp_path, content)) != fingerprint(first)


def test_a_result_of_format_1_counts_by_its_sampled_weights_and_a_dry_run_reads_none(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = invocation(tmp_path, served(), starts=True)
    older = opened.everything[0].in_format_1
    assert older.identity.deployment["checkpoint_digest"] == sampled_weights.checkpoint_digest(
        checkpoint.parent
    )
    opened.run.start()
    # The plan of an earlier version had the sampled digest, and nothing of sizes and times.
    plan = Plan("m", 0, opened.deployed["m"])
    data = plan.deployment.as_dict()
    data["definition"]["checkpoint_digest"] = older.identity.deployment["checkpoint_digest"]
    for part, later in (("definition", ("runs", "variables", "revision", "image_digest")),
                        ("serving", ("weights_stat",))):  # fmt: skip
        for name in later:
            del data[part][name]
    DeploymentDirectory.of(opened.directory, "m").define(
        replace(plan, deployment=Deployment.from_dict(data))
    )
    files = opened.directory.evaluation(older.id)
    begin(files, older.fingerprint)
    (files.artifacts / "f").write_text("1")
    files.complete(completion(older, files))
    shutil.rmtree(tmp_path / "home")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_of_file", None)
        patch.setattr(sampled_weights, "checkpoint_digest", None)
        looked = invocation(tmp_path, served())
        assert (fingerprint(looked), [*looked.facts.unhashed]) == (older.fingerprint, ["m"])
    started = invocation(tmp_path, served(), starts=True)
    assert fingerprint(started) == older.fingerprint
    edited(checkpoint, b"2", age=1800)
    assert fingerprint(invocation(tmp_path, served(), starts=True)) != older.fingerprint
