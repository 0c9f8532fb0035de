"""Starts Snakemake: in the foreground as a child that is waited for, or in the background."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import click

from snakeval.cli.launch import installation
from snakeval.dag.handover import NOTHING, Offer

#: Snakemake's own: done, something failed, and options that it does not understand.
_DONE, _FAILED, _BAD_INPUT = 0, 1, 2
_INTERRUPTED = 130
_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long Snakemake may take to begin, in seconds.
_START_SECONDS = 30.0


def command(
    configfile: Path, profile: str, options: Sequence[str], *, snakefile: str = ""
) -> list[str]:
    """Return Snakemake's command line, as it can be pasted into a shell."""
    return [
        *_snakemake(),
        *("--snakefile", snakefile or str(installation.snakefile())),
        *("--profile", profile),
        *("--configfile", str(configfile)),
        *options,
    ]


def _snakemake() -> list[str]:
    """The Snakemake of this interpreter, by its name where that finds it."""
    program = Path(sys.executable).parent / "snakemake"
    found = shutil.which("snakemake")
    if found and program.exists() and Path(found).samefile(program):
        return ["snakemake"]
    return [str(program)] if program.exists() else [sys.executable, "-m", "snakemake"]


def run(argv: Sequence[str], offer: Offer = NOTHING, *, cwd: Path | None = None) -> int:
    """Run Snakemake to its end; return the exit code of ours.

    It is in a process group of its own. What this process is told (Ctrl-C, a termination, a
    terminal that closes) is handed on to all of that group, once, as a terminal would; then it is
    waited for.
    """
    told: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        told.append(number)
        _signal(child, number)

    def pause(number: int, frame: FrameType | None) -> None:
        _signal(child, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _signal(child, signal.SIGCONT)

    # What whoever started us ignores (nohup) stays ignored.
    handlers = {n: hand_on for n in _HANDED_ON if signal.getsignal(n) is not signal.SIG_IGN}
    before = {n: signal.signal(n, handler) for n, handler in handlers.items()}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, pause)
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            process_group=0,
            pass_fds=offer.descriptors,
            env=offer.environment,
        )
        for number in told:  # before it was there
            _signal(child, number)
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return _INTERRUPTED if told else _ours(code)


def _ours(code: int) -> int:
    """Return our exit code for Snakemake's, and say which signal ended it."""
    if code < 0:
        name = signal.Signals(-code).name
        click.echo(f"snakeval: Snakemake was ended by {name}; the same command resumes", err=True)
        return _INTERRUPTED if -code in _HANDED_ON else _FAILED
    return code if code in (_DONE, _BAD_INPUT) else _FAILED


def _signal(child: subprocess.Popen[bytes] | None, number: int) -> None:
    if child is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def detach(argv: Sequence[str], log: Path, offer: Offer = NOTHING) -> subprocess.Popen[bytes]:
    """Start Snakemake in a session of its own, its output in *log*.

    Nothing of it holds our terminal or our pipes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=offer.descriptors,
            env=offer.environment,
        )


def settle(
    child: subprocess.Popen[bytes], ready: Callable[[], bool], seconds: float = _START_SECONDS
) -> int | None:
    """Wait for what was detached until it is *ready*, but no longer than *seconds*.

    Return the exit code of ours if it ended before, or None: it goes on.
    """
    until = time.monotonic() + seconds
    while (code := child.poll()) is None and not ready() and time.monotonic() < until:
        time.sleep(0.1)
    return None if code is None else _ours(code)
