"""Runs the jobs of the rules: stops them on a signal, and records the reason of a failure."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import events
from snakeval.evaluation.directory import JobDirectory
from snakeval.evaluation.events import Journal
from snakeval.files import repair_damaged_state
from snakeval.ledger.start_time import start_time
from snakeval.processes import process_lives
from snakeval.runtimes import blocking

INTERRUPTED = 130


def run(
    directory: JobDirectory,
    journal: Journal,
    log: Path,
    head: int,
    work: Callable[[Event], int],
) -> int:
    """Return what *work* returns, 1 if it failed, or 130 if it was interrupted.

    *work* gets an event that SIGINT, SIGTERM, SIGHUP and the death of the process *head* set (0 for
    none). The event also ends the commands of *work*, see :mod:`snakeval.runtimes.blocking`.
    A failure leaves its reason in *directory*, in *journal* and on the terminal, with its *log*.
    """
    code, reason, kind = _result(directory, head, work)
    if code == INTERRUPTED:
        journal.add(events.Event("interrupted", host=socket.gethostname(), head=head))
    if not reason:
        return code
    with contextlib.suppress(OSError):  # the disk is full, which is the reason itself
        directory.fail(reason, **({"kind": kind} if kind else {}))
    print(f"{directory.failed(reason)} [log: {log}]", file=sys.stderr)
    # Last: a reader of this event finds the reason in its file and on the terminal.
    journal.add(events.Event("failed", detail=reason, host=socket.gethostname(), head=head))
    return code


def _result(
    directory: JobDirectory, head: int, work: Callable[[Event], int]
) -> tuple[int, str, str]:
    """Return the exit code of *work*, why it failed, and the kind of the failure."""
    stop = Event()
    repair_damaged_state()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda *_: stop.set())
    if head:
        threading.Thread(target=_watch, args=(head, stop), daemon=True).start()
    try:
        with blocking.ended_by(stop):
            return work(stop), "", ""
    except Interrupted:
        return INTERRUPTED, "", ""
    except EvaluationError as error:
        # A kill may end the gateway or the server before the job notices the kill.
        return (INTERRUPTED, "", "") if stop.is_set() else (1, str(error), error.kind)
    except OSError as error:
        where = error.filename or directory.path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return 1, f"no space left for {where}; free some", ""
        return 1, f"{where}: {error.strerror or error}; check the file system of the run", ""
    except Exception as error:
        # A fault of snakeval: the terminal gets the traceback, and the run the reason.
        traceback.print_exc()
        return 1, f"a fault of snakeval: {type(error).__name__}: {error}"[:500], ""


def _watch(head: int, stop: Event) -> None:
    """Stop when Snakemake is gone: no process takes the result, and none may stay behind."""
    started = start_time(head) or ""  # another process may get its pid later
    while process_lives(head, started):
        time.sleep(1)
    stop.set()
