"""A real vLLM loads an adapter and swaps its weights, and its answers are those of its start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakeval.serving import canary, engine
from snakeval.serving.deployment import Deployment
from snakeval.serving.loading import Loading, brought
from support.servers import served
from support.shared import added, swapped
from support.small_vllm import ARGUMENTS, variables

LORA = ("--enable-lora", "--max-lora-rank", "8")
LOADS = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


def checkpoints(series: Path, kind: str) -> list[Deployment]:
    """Two checkpoints; the server starts with the first one of the whole models."""
    deployment = added if kind == "lora" else swapped
    return [deployment(series / kind / f"step-{step}") for step in (100, 200)]


@pytest.mark.vllm
def test_one_server_loads_an_adapter_and_swaps_its_weights(
    vllm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    (first, second), (adapter, other) = (
        checkpoints(vllm / "series", kind) for kind in ("full", "lora")
    )
    command = [f"{vllm}/venv/bin/vllm", "serve", first.weights_path, "--port", "{port}"]
    command += ["--host", "127.0.0.1", "--served-model-name", "base", *ARGUMENTS.split(), *LORA]
    path = {"PATH": f"{vllm}/venv/bin:{os.environ['PATH']}"}
    with served(command, "/health", tmp_path, variables(vllm) | LOADS | path) as url:
        loras = Loading()
        loras.start(adapter, cold=False)
        assert brought(loras, url, adapter) is None
        assert not loras.why_stale(url, adapter)
        assert loras.why_stale(url, other) == "its server has other weights"

        weights = Loading()
        weights.start(first, cold=True)
        assert brought(weights, url, second) is None
        assert not weights.why_stale(url, second)

        # The same engine with a fault: the blocks of other weights stay in its cache.
        canary.look(url, "base")
        engine.reload(url, first.weights_path)
        stale = canary.look(url, "base")
        assert stale.hits
        assert not stale.is_consistent
        assert (
            weights.why_stale(url, second) == "its server answers the canary as with other weights"
        )
