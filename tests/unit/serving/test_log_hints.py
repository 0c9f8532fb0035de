"""What to change in a deployment, from the cause in its server's log."""

from __future__ import annotations

import pytest

from snakeval.serving.log_hints import hint_for


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        (
            "To serve at least one request with the model's max seq len (1024), 2.0 GiB KV cache "
            "is needed. Try increasing `gpu_memory_utilization`.",
            "lower --max-model-len in deployment.extra_args",
        ),
        (
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.",
            "change the share of memory in deployment.extra_args",
        ),
        (
            "Not enough memory. Please try to increase --mem-fraction-static.",
            "change the share of memory in deployment.extra_args",
        ),
        (
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
            "free or add memory, or serve a shorter context",
        ),
        (
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 46080000000 bytes.",
            "free or add memory, or serve a shorter context",
        ),
        (
            "ModelConfig: User-specified max_model_len (99999) is greater than the derived one",
            "correct deployment.extra_args or the sizes",
        ),
        (
            "vllm serve: error: unrecognized arguments: --max-modell-len 4096",
            "correct deployment.extra_args or the sizes",
        ),
        ("tp_size 4 does not divide 6 heads", "correct deployment.extra_args or the sizes"),
        ("You are trying to access a gated repo.", "set HF_TOKEN in deployment.env"),
        (
            "error loading model architecture: unknown model architecture: 'w'",
            "use a newer image of the server, or another model",
        ),
        (
            "You need to have sentencepiece or tiktoken installed to convert a slow tokenizer",
            "use an image that has it",
        ),
        ("[Errno 98] Address already in use", "remove deployment.port"),
        (
            "m does not appear to have a file named config.json",
            "correct the weights or the command of the deployment",
        ),
        ("no room", ""),
        ("", ""),
    ],
)
def test_a_known_cause_has_a_hint(cause: str, hint: str) -> None:
    assert hint_for(cause) == hint
