"""The command line and the variables of a server that serves the checkpoints of a series."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from snakeval import catalogue
from snakeval.errors import EvaluationError
from snakeval.runtimes.podman import Podman
from snakeval.serving import shared_start
from snakeval.serving.container import container
from snakeval.serving.deployment import Deployment
from support.checkpoints import adapter, checkpoint
from support.shared import added, swapped


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def words(deployment: Deployment) -> list[str]:
    return shlex.split(container(deployment, Podman(), 8123, ("0",), {}).argv[2])


def test_a_server_starts_with_an_adapter_and_can_load_others(tmp_path: Path) -> None:
    path = adapter(tmp_path / "step 1")
    made = added(path)
    name = made.definition.served_model_name
    assert name.startswith("base-")
    found = words(made)
    assert found[found.index("--served-model-name") + 1] == "base"
    assert " ".join(found).endswith(
        f"--enable-lora --max-loras 4 --max-lora-rank 8 --lora-modules {name}={path}"
    )
    env = container(made, Podman(), 8123, ("0",), {}).env
    assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_an_option_of_the_configuration_counts(tmp_path: Path) -> None:
    made = added(adapter(tmp_path / "a"), extra_args="--max-lora-rank=64")
    assert [word for word in words(made) if "rank" in word] == ["--max-lora-rank=64"]


def test_sglang_has_options_of_its_own(tmp_path: Path) -> None:
    kind = catalogue.server_kind("sglang")
    text = shared_start.options(added(adapter(tmp_path / "a"), kind="sglang"), kind)
    assert "--lora-target-modules all --lora-paths base-" in text


def test_a_server_that_swaps_has_the_development_interface(tmp_path: Path) -> None:
    made = swapped(checkpoint(tmp_path / "a"))
    spec = container(made, Podman(), 8123, ("0",), {})
    assert spec.env["VLLM_SERVER_DEV_MODE"] == "1"
    assert "--enable-lora" not in words(made)
    kind = catalogue.server_kind("vllm")
    assert shared_start.variables(swapped(tmp_path / "a", swap=False), kind) == {}


def test_an_adapter_that_is_gone_starts_no_server(tmp_path: Path) -> None:
    made = added(adapter(tmp_path / "a"))
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(EvaluationError, match="a: "):
        shared_start.require_adapter(made)


def test_weights_that_are_gone_reach_no_engine(tmp_path: Path) -> None:
    made = swapped(checkpoint(tmp_path / "a"))
    shared_start.require_weights(made)
    (tmp_path / "a/model.safetensors").write_bytes(b"other")
    with pytest.raises(EvaluationError, match="changed since the run started"):
        shared_start.require_weights(made)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(EvaluationError, match="gone: "):
        shared_start.require_weights(made)
