"""Images and models of a hub are pinned when a run starts first, and stay pinned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval import catalogue
from snakeval.dag.announce import unknown
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError
from snakeval.matrix import facts
from snakeval.matrix.facts import Facts
from snakeval.run.pins import Pin
from support.configs import COMMAND, changed
from support.invocations import invocation


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def fingerprint(opened: Invocation) -> str:
    return opened.everything[0].fingerprint


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
    opened = invocation(tmp_path, content, starts=True, **more)
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


def test_pins_that_the_user_may_not_read_are_an_error_with_their_place(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = pinned(tmp_path, with_image())

    def deny(path: Path, parse: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(facts, "read_state", deny)
    with pytest.raises(ConfigError, match=r"pins.json: cannot be read \(Permission denied\)"):
        invocation(tmp_path, with_image(), run=opened.run.id)
