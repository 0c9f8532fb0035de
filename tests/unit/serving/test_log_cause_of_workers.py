"""The cause of a failed start that three processes of vLLM 0.32 report, of which one knows it."""

from __future__ import annotations

from pathlib import Path

from snakeval.serving.log_cause import cause

WORKER = "(Worker pid=90) ERROR 11-30 02:19:52 [multiproc_executor.py:953] "
ENGINE = "(EngineCore pid=71) ERROR 11-30 02:19:57 [core.py:1510] "
CAUSE = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 46080000000 bytes. Error code 12 (Cannot allocate memory)"
)
FOLLOWS = (
    "Exception: WorkerProc initialization failed due to an exception in a background process. See "
    "stack trace for root cause."
)


def traceback(prefix: str, error: str, count: int) -> str:
    frame = f'{prefix}  File "engine.py", line 1, in step\n{prefix}    self.step()\n'
    return f"{prefix}Traceback (most recent call last):\n{frame * count}{prefix}{error}\n"


def test_the_cause_is_that_of_the_worker_and_not_of_those_who_wait_for_it(tmp_path: Path) -> None:
    last = "RuntimeError: Engine core initialization failed. See root cause above."
    (tmp_path / "log").write_text(
        f"{WORKER}WorkerProc failed to start.\n"
        + traceback(WORKER, f"RuntimeError: {CAUSE}", 8)
        + f"{ENGINE}EngineCore failed to start.\n"
        + traceback(ENGINE, FOLLOWS, 12)
        + "Process EngineCore:\n"
        + traceback("", FOLLOWS, 12)
        + traceback("", last, 20)
    )
    assert cause(tmp_path / "log") == CAUSE
