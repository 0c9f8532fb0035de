"""Tests model servers of the launcher's configurations: options, commands, keys beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.launcher import TARGET, TASKS, plain, read, server

HUB = {"hf_model_handle": "org/m", "served_model_name": "m"}
DEFAULTS = "--trust-remote-code --gpu-memory-utilization 0.95"


@pytest.mark.parametrize(
    ("more", "arguments"),
    [
        ({}, DEFAULTS),
        ({"extra_args": "--seed 1"}, f"{DEFAULTS} --seed 1"),
        ({"gpu_memory_utilization": 0.5}, "--trust-remote-code --gpu-memory-utilization 0.5"),
        (
            {"extra_args": "--gpu-memory-utilization 0.9"},
            "--trust-remote-code --gpu-memory-utilization 0.9",
        ),
        (
            {"extra_args": "--no-trust-remote-code"},
            "--gpu-memory-utilization 0.95 --no-trust-remote-code",
        ),
    ],
)
def test_vllm_has_the_options_of_the_launchers_command(
    tmp_path: Path, more: dict[str, Any], arguments: str
) -> None:
    assert server(tmp_path, {"type": "vllm", **HUB, **more}).extra_args == arguments


def test_trtllm_has_the_launchers_size_and_options(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    spec = {"type": "trtllm", "checkpoint_path": "weights", "served_model_name": "m"}
    made_of_it = server(tmp_path, spec, "execution=local")
    assert made_of_it.tensor_parallel_size == 8
    assert made_of_it.extra_args == "--trust_remote_code"


def test_default_options_and_images_are_reported(tmp_path: Path) -> None:
    content = {"deployment": {"type": "vllm", **HUB}, "evaluation": TASKS}
    notes = read(tmp_path, content).notes
    assert f"deployment.extra_args: the launcher's default options: {DEFAULTS}" in notes
    (image,) = [note for note in notes if note.startswith("deployment.image: is vllm/vllm-openai:")]
    assert image.endswith("and the launcher's default is vllm/vllm-openai:latest")


def test_a_command_may_contain_the_launchers_base_command(tmp_path: Path) -> None:
    spec = {"type": "vllm", **HUB, "extra_args": "--seed 1"}
    command = "export A=1; ${deployment.base_command} --more"
    own = server(tmp_path, spec | {"command": command}, "execution=local")
    assert own.command is not None
    assert own.command.startswith(
        "export A=1; vllm serve {{ model }} --host {{ host }} --port 8000"
    )
    assert own.command.endswith(f"{DEFAULTS} --seed 1 --more")
    assert (own.port, own.extra_args) == (8000, "")


def test_a_size_that_the_launcher_ignores_is_reported(tmp_path: Path) -> None:
    spec = {"type": "vllm", **HUB, "data_parallel_size_local": 8}
    content = {"deployment": spec, "evaluation": TASKS}
    notes = read(tmp_path, content).notes
    assert any(note.startswith("deployment.data_parallel_size_local: has no eff") for note in notes)
    command = "serve --local ${deployment.data_parallel_size_local}"
    own = server(tmp_path, spec | {"command": command}, "execution=local")
    assert own.command == "serve --local 8"


def test_the_key_of_a_target_beside_a_deployment_reaches_the_harness(tmp_path: Path) -> None:
    target = {"api_endpoint": {"api_key_name": "MY_KEY"}}
    content = {"deployment": {"type": "vllm", **HUB}, "evaluation": TASKS, "target": target}
    config = plain(tmp_path, content)
    assert config.benchmarks["ifeval"].env == {"MY_KEY": "MY_KEY"}


def test_keys_of_no_deployment_are_reported(tmp_path: Path) -> None:
    content = {"target": TARGET, "evaluation": TASKS, "deployment": {"image": "i"}}
    assert list(plain(tmp_path, content).models) == ["org-m-1"]
    notes = read(tmp_path, content).notes
    assert "deployment: has no effect, since its type is none" in notes


def test_the_launchers_path_for_ranking_is_no_error(tmp_path: Path) -> None:
    spec = {"type": "vllm", **HUB, "endpoints": {"ranking": "/v1/ranking"}}
    assert server(tmp_path, spec).endpoints.chat is None
