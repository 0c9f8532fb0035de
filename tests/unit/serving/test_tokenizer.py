"""Where a harness reads the tokenizer of a deployed completions model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config import models
from snakeval.config.endpoints import EndpointType
from snakeval.run.pins import Pin
from snakeval.serving.deployment import Deployment
from snakeval.serving.resolve import Resolved, resolve
from snakeval.serving.tokenizer import COMPLETIONS, for_harness, is_tokenizer, server_must_answer


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def deployed(**spec: Any) -> Deployment:
    spec = {"kind": "vllm", "type": "completions"} | spec
    return resolve("m", models.Deployment(**spec), "host", resolved=Resolved(Pin("i"), "abc"))


def test_only_completions_count_tokens() -> None:
    assert COMPLETIONS == EndpointType.COMPLETIONS


def test_a_checkpoint_has_it_in_its_directory(checkpoint: Path) -> None:
    made = deployed(checkpoint_path=str(checkpoint))
    assert for_harness(made) == {"path": str(checkpoint)}
    assert not server_must_answer(made)


def test_the_hub_has_it_at_the_commit_of_the_weights() -> None:
    made = deployed(hf_model_handle="org/model", served_model_name="short")
    assert for_harness(made) == {"name": "org/model", "revision": "abc"}
    assert not server_must_answer(made)


@pytest.mark.parametrize("kind", ["chat", "embedding"])
def test_no_other_type_requires_one(checkpoint: Path, kind: str) -> None:
    made = deployed(checkpoint_path=str(checkpoint), type=kind)
    assert (for_harness(made), server_must_answer(made)) == ({}, False)


@pytest.mark.parametrize("option", ["--tokenizer /other", "--seed 1 --tokenizer=/other"])
def test_only_the_server_knows_another_tokenizer(checkpoint: Path, option: str) -> None:
    made = deployed(checkpoint_path=str(checkpoint), extra_args=option)
    assert (for_harness(made), server_must_answer(made)) == ({}, True)
    assert for_harness(deployed(checkpoint_path=str(checkpoint), extra_args="--tokenizer-mode x"))


def test_a_file_of_gguf_has_none_for_the_harness(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("")
    for weights in (
        {"checkpoint_path": str(tmp_path / "model.gguf")},
        {"hf_model_handle": "org/model-GGUF:Q4_K_M"},
    ):
        assert for_harness(deployed(kind="llamacpp", **weights)) == {}


@pytest.mark.parametrize(
    ("config", "usable"),
    [
        (None, True),
        ('{"tokenizer_class": "LlamaTokenizer"}', True),
        ('{"auto_map": {"AutoTokenizer": ["mine.Tokenizer", null]}}', False),
        ("{", False),
    ],
)
def test_a_tokenizer_with_code_of_its_own_is_only_the_server_s(
    checkpoint: Path, config: str | None, usable: bool
) -> None:
    if config is not None:
        (checkpoint / "tokenizer_config.json").write_text(config)
    assert is_tokenizer(checkpoint) is usable


def test_weights_without_a_tokenizer_are_none(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("")
    assert not is_tokenizer(tmp_path)
    assert server_must_answer(deployed(checkpoint_path=str(tmp_path)))
