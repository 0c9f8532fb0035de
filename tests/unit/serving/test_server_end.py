"""The reason of a server's end: a sentence of at most 300 characters, with the cause in its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.runtimes import Outcome
from snakeval.serving.resolve import resolve
from snakeval.serving.server_end import why_ended

TRACEBACK = "Traceback (most recent call last):\n  File 'x'\n"
#: As a vLLM 0.32 wrote it whose engine was killed; it ended with exit code 0.
LOGGER = "(APIServer pid=7) ERROR 11-30 02:23:38 [async_llm.py:906] "
KILLED = f"""(APIServer pid=7) INFO 11-30 02:23:32 [launcher.py:195] Route: /invocations
INFO:     Application startup complete.
(APIServer pid=7) WARNING 11-30 02:23:38 [core_client.py:817] [shutdown] MPClient: engine core \
exited unexpectedly; starting cleanup
{LOGGER}AsyncLLM output_handler failed.
{LOGGER}Traceback (most recent call last):
{LOGGER}  File "async_llm.py", line 849, in output_handler
{LOGGER}    outputs = await engine_core.get_output_async()
{LOGGER}vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See \
stack trace (above) for the root cause.
INFO:     Shutting down
INFO:     Finished server process [7]
nanobind: this is likely caused by a reference counting issue in the binding code.
resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown
"""
DIED = "a process of the server died, perhaps killed for want of memory,"


@pytest.mark.parametrize(
    ("code", "log", "ready", "why"),
    [
        (
            1,
            f"{TRACEBACK}ValueError: no room\n\n{TRACEBACK}RuntimeError: Engine core "
            "initialization failed. See root cause above.\n",
            False,
            "the server ended with exit code 1 before it was ready: no room",
        ),
        (
            1,
            f"{TRACEBACK}ValueError: To serve at least one request with the model's max seq len "
            f"(8192), (2.0 GiB KV cache is needed, which is larger than the available KV cache "
            "memory (1.0 GiB). Based on the available memory, the estimated maximum model length "
            "is 4096. Try increasing `gpu_memory_utilization`.\n",
            False,
            "the server ended with exit code 1 before it was ready: To serve at least one request "
            "with the model's max seq len (8192), (2.0 GiB KV cache is needed, which is larger "
            "than the available KV cache memory (1.0 GiB); lower --max-model-len in "
            "deployment.extra_args",
        ),
        (
            0,
            "ERROR 11-20 10:00:01 [a.py:1] Engine core proc EngineCore_0 died unexpectedly\n",
            True,
            f"{DIED} and the server ended with exit code 0: Engine core proc EngineCore_0 died "
            "unexpectedly",
        ),
        *(
            (code, KILLED, ready, f"{DIED} and the server ended with exit code {code}{when}")
            for code, ready, when in ((0, True, ""), (1, False, " before it was ready"))
        ),
        (
            0,
            "bye\n",
            False,
            "the server ended with exit code 0 before it was ready; its log ends: bye",
        ),
        (137, "loading\n", True, "the server was killed (SIGKILL); its log ends: loading"),
        (127, "", False, "the server's command was not found (exit code 127) before it was ready"),
    ],
)
def test_the_reason_has_the_cause_or_the_end_of_the_log(
    tmp_path: Path, code: int, log: str, ready: bool, why: str
) -> None:
    (tmp_path / "log").write_text(log)
    deployment = resolve("m", models.Deployment(kind="generic", command="serve"), "host")
    found = why_ended(deployment, Outcome(code), tmp_path / "log", was_ready=ready)
    assert found == why


@pytest.mark.parametrize("log", [f"{TRACEBACK}ValueError: {'a b ' * 200}\n", "a b " * 200])
def test_the_reason_has_at_most_300_characters(tmp_path: Path, log: str) -> None:
    (tmp_path / "log").write_text(log)
    deployment = resolve("m", models.Deployment(kind="generic", command="serve"), "host")
    found = why_ended(deployment, Outcome(1), tmp_path / "log", was_ready=True)
    assert 250 < len(found) <= 300
    assert found.endswith("…")
