"""How tests and campaigns start the real vLLM of ``tests/testbed/vllm.sh``: small and soon."""

from __future__ import annotations

from pathlib import Path

ARGUMENTS = (
    "--max-model-len 1024 --dtype bfloat16 --enforce-eager"
    " --kv-cache-memory-bytes 67108864 --distributed-executor-backend uni"
)


def variables(bed: Path) -> dict[str, str]:
    """Return the environment of a server of the *bed*."""
    return {
        # The engine has no third process: each one imports for 10 s, and takes 0.6 GB.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": "1",
        # No compiler starts at the first request.
        "TORCHDYNAMO_DISABLE": "1",
        # What the bed found out about the model's class.
        "VLLM_CACHE_ROOT": str(bed / "cache"),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
