"""What a dry run knows without sending or reading anything, and what a start resolves."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval import catalogue
from snakeval.config.load import load
from snakeval.dag.announce import unknown
from snakeval.dag.invocation import Invocation
from snakeval.dag.matrix import Matrix
from snakeval.dag.on_start import Start
from snakeval.executors.base import Executor
from snakeval.matrix import facts
from snakeval.matrix.facts import Facts
from snakeval.run.pins import Pin
from snakeval.serving import sampled_weights, weights
from snakeval.serving.deployment import Deployment
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from support.configs import COMMAND, changed, write
from support.invocations import Workflow
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


def invocation(tmp_path: Path, content: dict[str, Any], *, starts: bool = False) -> Invocation:
    config, selection, _ = load([write(tmp_path, content)], {"output_dir": str(tmp_path / "out")})
    return Invocation(config, selection, starts=starts)


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


# --- images and models ------------------------------------------------------------------------


class Registry:
    """Answers for images and models, and counts the questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.digest = "sha256:" + "1" * 64
        monkeypatch.setattr(facts, "resolve_image", self.resolve)
        monkeypatch.setattr(facts, "resolve_model", self.resolve)

    def resolve(self, name: str, *more: object) -> Pin:
        self.asked.append(name)
        return Pin(name, self.digest, "" if self.digest else "not reachable")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


def with_image(image: str = "me/own:1") -> dict[str, Any]:
    return changed("benchmarks", "b", to=COMMAND | {"image": image})


def pinned(tmp_path: Path, content: dict[str, Any], **more: Any) -> Invocation:
    """Start a run without its definitions, for which no engine is needed."""
    config, selection, _ = load(
        [write(tmp_path, content)], {"output_dir": str(tmp_path / "out")} | more
    )
    opened = Invocation(config, selection, starts=True)
    opened.run.start()
    opened.facts.save()
    return opened


def test_an_image_is_pinned_at_the_first_start_and_no_registry_is_asked_again(
    tmp_path: Path, registry: Registry
) -> None:
    looked = invocation(tmp_path, with_image())
    assert (registry.asked, looked.everything[0].identity.image_digest) == ([], "")
    first = pinned(tmp_path, with_image())
    assert registry.asked == ["me/own:1"]
    assert first.everything[0].identity.image_digest == registry.digest
    registry.digest = "sha256:" + "2" * 64
    for starts in (False, True):
        again = invocation(tmp_path, with_image(), starts=starts)
        assert fingerprint(again) == fingerprint(first)
    assert registry.asked == ["me/own:1"]
    renewed = pinned(tmp_path, with_image(), update_images=True)
    assert fingerprint(renewed) != fingerprint(first)
    assert fingerprint(invocation(tmp_path, with_image())) == fingerprint(renewed)


def test_a_registry_that_is_not_reachable_leaves_the_tag_until_images_are_updated(
    tmp_path: Path, registry: Registry
) -> None:
    registry.digest = ""
    first = pinned(tmp_path, with_image())
    assert unknown(first) == ["Pinned by name only: me/own:1 (not reachable)"]
    registry.digest = "sha256:" + "1" * 64
    again = invocation(tmp_path, with_image(), starts=True)
    assert (fingerprint(again), unknown(again)) == (fingerprint(first), [])
    assert len(registry.asked) == 1


def test_a_newer_default_image_of_the_catalogue_changes_nothing_in_an_existing_run(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = changed("benchmarks", "b", to={"harness": "simple_evals", "task": "x"})
    first = pinned(tmp_path, content)
    harness = catalogue.find_harness("simple_evals")
    newer = catalogue.Harness(
        **{n: getattr(harness, n) for n in harness.__slots__} | {"image": "newer:2"}
    )
    monkeypatch.setitem(catalogue.harnesses(), "simple_evals", newer)
    again = invocation(tmp_path, content, starts=True)
    assert fingerprint(again) == fingerprint(first)
    assert again.everything[0].identity.image == harness.image
    # An image that the user writes is a choice of its own.
    registry.digest = "sha256:" + "2" * 64
    own = changed("benchmarks", "b", to={"harness": "simple_evals", "task": "x", "image": "n:3"})
    assert fingerprint(invocation(tmp_path, own, starts=True)) != fingerprint(first)


def test_the_revision_of_a_model_on_the_hub_is_pinned_and_started(
    tmp_path: Path, registry: Registry
) -> None:
    from snakeval.serving.container import command

    registry.digest = "c0ffee"
    content = changed("models", "m", to={"deployment": {"kind": "vllm", "hf_model_handle": "o/m"}})
    first = pinned(tmp_path, content)
    assert sorted(registry.asked) == ["o/m", "vllm/vllm-openai:v0.31.0"]
    registry.digest = "beef"
    again = invocation(tmp_path, content, starts=True)
    assert fingerprint(again) == fingerprint(first)
    assert again.everything[0].identity.deployment["revision"] == "c0ffee"
    deployment = again.deployed["m"]
    values = {"model": "o/m", "host": "h", "port": 1, "served_model_name": "n", "is_path": False,
              "tensor_parallel_size": 1, "pipeline_parallel_size": 1, "data_parallel_size": 1,
              "endpoint_type": "chat"}  # fmt: skip
    assert command(deployment, values).endswith(" --revision c0ffee")


def test_an_old_run_keeps_the_default_images_of_its_catalogue(
    tmp_path: Path, registry: Registry
) -> None:
    content = changed("benchmarks", "b", to={"harness": "simple_evals", "task": "x"})
    opened = invocation(tmp_path, content)
    opened.run.start()
    opened.directory.write_config((tmp_path / "c.yaml").read_text(), "0.1.0")
    (evaluation,) = opened.everything
    identity = replace(evaluation.identity, image="older:1", format=1)
    opened.directory.evaluation("m/b").private.mkdir(parents=True)
    opened.directory.evaluation("m/b").define(replace(evaluation, identity=identity))
    for starts in (False, True):
        (again,) = invocation(tmp_path, content, starts=starts).everything
        assert (again.identity.image, again.identity.image_digest) == ("older:1", "")
        assert again.older == (identity.fingerprint,)
    assert registry.asked == []


@pytest.mark.parametrize(
    ("addition", "same"),
    [
        ("{%- if endpoint_type == 'vlm' %} --x{% endif %}", True),
        ("{# a comment #}", True),
        ("{%- if tensor_parallel_size | int > 1 %} --x{% endif %}", False),
        (" --x", False),
    ],
)
def test_a_template_of_the_catalogue_counts_by_its_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addition: str, same: bool
) -> None:
    content = changed("models", "m", to={"deployment": {"kind": "vllm", "hf_model_handle": "o/m"}})
    before = fingerprint(invocation(tmp_path, content))
    kind = catalogue.server_kind("vllm")
    newer = replace(kind, command=kind.command + addition)
    monkeypatch.setitem(catalogue.server_kinds(), "vllm", newer)
    assert (fingerprint(invocation(tmp_path, content)) == before) is same


def test_runtime_process_asks_no_registry(tmp_path: Path, registry: Registry) -> None:
    opened = pinned(tmp_path, with_image() | {"runtime": "process"})
    assert registry.asked == []
    assert unknown(opened) == ["Pinned by name only: me/own:1 (runtime process starts no image)"]


def test_facts_without_a_run_know_only_what_is_kept(tmp_path: Path) -> None:
    assert Facts().image("k", "i:1") == Pin("i:1")
    assert Facts().new_pins == {}
