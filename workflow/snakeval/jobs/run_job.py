"""What the jobs of our rules share: they end when told or with their head, or with a reason."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.processes import process_lives

INTERRUPTED = 130


def run(directory: EvaluationDirectory, log: Path, head: int, work: Callable[[Event], int]) -> int:
    """Return what *work* returns, 1 if it failed, or 130 if it was interrupted.

    *work* is given what is set by SIGINT, SIGTERM and the death of the process *head* (0 for
    none). A failure leaves its reason in *directory* and on the terminal, with its *log*.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if head:
        threading.Thread(target=_watch, args=(head, stop), daemon=True).start()
    try:
        return work(stop)
    except Interrupted:
        return INTERRUPTED
    except EvaluationError as error:
        return _failed(directory, log, str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or directory.path
        return _failed(directory, log, f"no space left for {where}; free some")


def _watch(head: int, stop: Event) -> None:
    """Stop when Snakemake is gone: nobody would take the result, and nothing may be left."""
    while process_lives(head):
        time.sleep(1)
    stop.set()


def _failed(directory: EvaluationDirectory, log: Path, reason: str) -> int:
    with contextlib.suppress(OSError):  # of a full disk, which is the reason itself
        directory.fail(reason)
    name = "/".join(directory.path.parts[-2:])
    print(f"{name} failed: {reason} [log: {log}]", file=sys.stderr)
    return 1
