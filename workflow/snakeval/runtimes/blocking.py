"""Runs all commands that may take long before a container starts: pulls, conversions, pip.

Such a command may take hours or hang. It ends with its owner, however the owner ends: by a signal,
because its Snakemake is gone, by ``snakeval kill``, or by SIGKILL. The owner sets an event, see
:func:`ended_by`; runtimes need no parameter for it, and each thread has its own.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from snakeval.errors import EvaluationError, Interrupted
from snakeval.processes import run_child
from snakeval.runtimes.lifeline import GO, guarded
from snakeval.runtimes.marked import MARK
from snakeval.runtimes.reaped import run_reaped

_T = TypeVar("_T")
Report = Callable[[str], None]

_STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
#: Seconds between SIGTERM and SIGKILL. No command here has anything to save.
_GRACE_SECONDS = 2
#: How many of the last lines a command's result keeps.
_LINES = 50
#: How often to look whether a call has returned, in seconds.
_LOOK_SECONDS = 0.1


def _never() -> bool:
    return False


@contextmanager
def ended_by(stop: threading.Event) -> Iterator[None]:
    """End the commands and calls of this thread as soon as *stop* is set."""
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def is_stopped() -> bool:
    """Return whether the owner of this thread's commands has been stopped."""
    stop = _STOP.get()
    return stop is not None and stop.is_set()


def refuse_stopped() -> None:
    """Raise Interrupted if the owner of this thread's commands has been stopped."""
    if is_stopped():
        raise Interrupted


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, and the last lines that it printed."""

    code: int
    lines: tuple[str, ...]

    @property
    def last_line(self) -> str:
        """The last line that is not blank, or nothing."""
        return self.lines[-1] if self.lines else ""


def run(
    words: Sequence[str],
    report: Report = lambda line: None,
    *,
    mark: str = "",
    env: Mapping[str, str] | None = None,
    seconds: float = float("inf"),
    unless: Callable[[], bool] = _never,
    has_daemons: bool = False,
) -> Ended:
    """Run a command to its end, and report each line that it prints.

    Nothing of it outlives this process, or a stop of its owner. It has no standard input.
    *mark* is the name of the container that it prepares, by which ``snakeval kill`` finds it.
    *unless* says that the command has become useless; it then ends as after a stop. A command that
    *has_daemons* may leave processes in sessions of their own, which other commands use.

    Raises:
        Interrupted: the owner was stopped, or *unless* is true.
        EvaluationError: the command cannot start, or takes longer than *seconds*.
    """
    refuse_stopped()
    surroundings = dict(os.environ if env is None else env)
    if mark:
        surroundings[MARK] = mark
    stop = _STOP.get()

    def is_useless() -> bool:
        return (stop is not None and stop.is_set()) or unless()

    command = ["/bin/sh", "-c", 'exec "$@" </dev/null', "sh", *words]
    ended = _run(words[0], command, report, surroundings, seconds, is_useless, has_daemons)
    if is_useless():
        raise Interrupted
    return ended


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a command that only answers a question, or that must run in any case."""

    code: int
    output: str
    errors: tuple[str, ...]

    @property
    def problem(self) -> str:
        """The last line of its errors."""
        return self.errors[-1][:300] if self.errors else "no message"


def answer(
    words: Sequence[str],
    *,
    seconds: float,
    in_any_case: bool = False,
    has_daemons: bool = False,
) -> Answer:
    """Return what a command prints, as :func:`run` runs it.

    A command that cleans up runs *in_any_case*, also if the owner was stopped.

    Raises:
        Interrupted: the owner was stopped.
        EvaluationError: the command cannot start, or takes longer than *seconds*.
    """
    halts: Callable[[], bool] = _never if in_any_case else is_stopped
    if halts():
        raise Interrupted
    with tempfile.TemporaryDirectory(prefix="snakeval-") as place:
        output = Path(place, "output")
        command = ["/bin/sh", "-c", 'output=$1; shift; exec "$@" </dev/null >"$output"', "sh"]
        command += [str(output), *words]
        ended = _run(
            *(words[0], command, lambda line: None, dict(os.environ), seconds, halts, has_daemons)
        )
        if halts():
            raise Interrupted
        return Answer(ended.code, output.read_text("utf-8", "replace"), ended.lines)


class _Halt(threading.Event):
    """Set as soon as a reason to end a command is there."""

    def __init__(self, reason: Callable[[], bool], until: float) -> None:
        super().__init__()
        self._reason, self._until = reason, until

    def is_set(self) -> bool:
        return self._reason() or time.monotonic() >= self._until


def _run(
    name: str,
    command: Sequence[str],
    report: Report,
    env: Mapping[str, str],
    seconds: float,
    is_useless: Callable[[], bool],
    has_daemons: bool,
) -> Ended:
    until = time.monotonic() + seconds
    lines: deque[str] = deque(maxlen=_LINES)
    reading, writing = os.pipe()
    reader = threading.Thread(target=_read, args=(reading, lines, report), daemon=True)
    reader.start()
    try:
        with os.fdopen(writing, "wb") as log:
            halt = _Halt(is_useless, until)
            # The lifeline ends the command if this process and the reaper are killed together.
            # The owner's PATH may have programs of its own alone.
            command = ["/bin/sh", *guarded(command, _GRACE_SECONDS)[1:]]
            run = run_child if has_daemons else run_reaped
            code = run(command, log, halt, grace=_GRACE_SECONDS, stdin=GO, env=env)
    except OSError as error:
        raise EvaluationError(f"{name} cannot be started ({error.strerror})") from None
    finally:
        reader.join(timeout=_GRACE_SECONDS)  # a process that cannot be killed keeps the pipe
    if code != 0 and time.monotonic() >= until:
        raise EvaluationError(f"{name} does not end within {seconds:.0f} s")
    return Ended(code, tuple(lines))


def _read(descriptor: int, lines: deque[str], report: Report) -> None:
    # A progress bar ends its lines with a carriage return, which also counts as an end.
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as output:
        for line in output:
            if text := line.strip():
                lines.append(text)
                report(text)


def call(function: Callable[[], _T]) -> _T:
    """Return what *function* returns, a request to an engine that may hang.

    A stop does not wait for it. The thread of the request ends when the request does.

    Raises:
        Interrupted: the owner was stopped.
    """
    refuse_stopped()
    if _STOP.get() is None:
        return function()
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=_LOOK_SECONDS)
        refuse_stopped()
    if errors:
        raise errors[0]
    return results[0]
