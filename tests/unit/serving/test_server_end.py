"""The reason of a server's end: a sentence of at most 300 characters, with the cause in its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.runtimes import Outcome
from snakeval.serving.resolve import resolve
from snakeval.serving.server_end import why_ended

TRACEBACK = "Traceback (most recent call last):\n  File 'x'\n"


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
            "a process of the server died, perhaps killed for want of memory, and the server ended "
            "with exit code 0: Engine core proc EngineCore_0 died unexpectedly",
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
