"""Tests the podman runtime: GPUs by name."""

from __future__ import annotations

from snakeval.runtimes.podman import Podman
from snakeval.runtimes.spec import ContainerSpec


def test_each_gpu_is_a_device() -> None:
    few = ContainerSpec("n", "image", ("true",), "/", gpus=2)
    assert "--device nvidia.com/gpu=0 --device nvidia.com/gpu=1" in Podman().shell(few)
    exact = ContainerSpec("n", "image", ("true",), "/", gpus=2, gpu_ids=("3", "GPU-5c3d"))
    text = Podman().shell(exact)
    assert "--device nvidia.com/gpu=3 --device nvidia.com/gpu=GPU-5c3d" in text
    assert "nvidia.com/gpu=0" not in text
