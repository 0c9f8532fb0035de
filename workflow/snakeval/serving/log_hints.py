"""Says what to change in a deployment, from the cause in its server's log."""

from __future__ import annotations

import re

_ARGUMENTS = "deployment.extra_args"
#: Causes of vLLM, SGLang, llama.cpp, TensorRT-LLM and text-generation-inference, and the change.
_HINTS = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        (
            r"max seq len|estimated maximum model length",
            f"lower --max-model-len in {_ARGUMENTS}",
        ),
        (
            r"cache blocks|mem-fraction-static|gpu_memory_utilization",
            f"change the share of memory in {_ARGUMENTS}",
        ),
        (
            r"out of memory|outofmemory|not enough memory|"
            r"(?:can't|cannot|unable to) allocate",
            "free or add memory, or serve a shorter context",
        ),
        (
            r"max_model_len \(\d+\) is greater|unrecognized arguments|invalid choice|"
            r"unknown argument|invalid argument|does not divide|divisible by",
            f"correct {_ARGUMENTS} or the sizes",
        ),
        (r"gated repo|401 Client Error|access to model", "set HF_TOKEN in deployment.env"),
        (
            r"unknown model architecture|model type .{1,60} (?:is not known|does not recognize)|"
            r"not supported for now|failed to be inspected|does not recognize this architecture",
            "use a newer image of the server, or another model",
        ),
        (
            r"sentencepiece or tiktoken|No module named|cannot open shared object",
            "use an image that has it",
        ),
        (r"address already in use", "remove deployment.port"),
        (
            r"no such file|not a directory|does not appear to have a file",
            "correct the weights or the command of the deployment",
        ),
    )
)


def hint_for(cause: str) -> str:
    """Return what to change because of the *cause* in a server's log, or nothing."""
    return next((hint for pattern, hint in _HINTS if pattern.search(cause)), "")
