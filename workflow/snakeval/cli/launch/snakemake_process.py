"""Starts Snakemake, in the foreground as a child or in the background."""

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
from snakeval.cli.output import is_verbose, wants_json
from snakeval.dag.handover import NOTHING, Offer

#: Snakemake's exit codes: done, failed, and unknown options.
_DONE, _FAILED, _BAD_INPUT = 0, 1, 2
#: The exit code of ``snakeval`` if a signal ended the run.
INTERRUPTED = 130
#: With ``--json``, standard output has only the object of the command.
_STDERR = 2
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How long to wait until Snakemake starts the run, in seconds.
_START_SECONDS = 30.0
#: The advice to resume a run whose Snakemake ended.
SAME = "run the same command"


def command(
    configfile: Path,
    profile: str,
    options: Sequence[str],
    *,
    snakefile: str = "",
    is_quiet: bool = False,
) -> list[str]:
    """Return Snakemake's command line; people can paste it into a shell."""
    return [
        *_snakemake(),
        *("--snakefile", snakefile or str(installation.snakefile())),
        *("--profile", profile),
        *("--configfile", str(configfile)),
        *(["--nocolor"] if os.environ.get("NO_COLOR") and "--nocolor" not in options else []),
        *(["--printshellcmds"] if is_verbose() else []),
        *(["--quiet", "all"] if is_quiet and not _has_quiet(options) else []),
        *options,
    ]


def _has_quiet(options: Sequence[str]) -> bool:
    return any(option in ("-q", "--quiet") or option.startswith("--quiet=") for option in options)


def _snakemake() -> list[str]:
    """The Snakemake of this interpreter, by its name if the shell finds it."""
    program = Path(sys.executable).parent / "snakemake"
    found = shutil.which("snakemake")
    if found and program.exists() and Path(found).samefile(program):
        return ["snakemake"]
    return [str(program)] if program.exists() else [sys.executable, "-m", "snakemake"]


def run(
    argv: Sequence[str], offer: Offer = NOTHING, *, cwd: Path | None = None, resume: str = SAME
) -> int:
    """Run Snakemake to its end; return the exit code of ``snakeval``.

    *resume* is what a person does to resume the run if a signal ends it.

    Snakemake has its own process group. This process passes a signal (Ctrl-C, a termination, a
    terminal that closes) to that whole group once, as a terminal would, and waits for its end.
    """
    signals: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        _signal(child, number)

    def pause(number: int, frame: FrameType | None) -> None:
        _signal(child, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _signal(child, signal.SIGCONT)

    # Signals that are ignored (nohup) stay ignored.
    handlers = {n: pass_on for n in _PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN}
    before = {n: signal.signal(n, handler) for n, handler in handlers.items()}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, pause)
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR if wants_json() else None,
            process_group=0,
            pass_fds=offer.descriptors,
            env=offer.environment,
        )
        for number in signals:  # from before it existed
            _signal(child, number)
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return INTERRUPTED if signals else _exit_code(code, resume)


def _exit_code(code: int, resume: str = SAME) -> int:
    """Return the exit code of ``snakeval`` for Snakemake's, and print which signal ended it.

    *resume* is what to run then.
    """
    if code < 0:
        name = signal.Signals(-code).name
        click.echo(f"snakeval: {name} ended Snakemake; {resume} to resume", err=True)
        return INTERRUPTED if -code in _PASSED_ON else _FAILED
    return code if code in (_DONE, _BAD_INPUT) else _FAILED


def _signal(child: subprocess.Popen[bytes] | None, number: int) -> None:
    if child is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def settle(
    child: subprocess.Popen[bytes], ready: Callable[[], bool], seconds: float = _START_SECONDS
) -> int | None:
    """Wait until the detached *child* is *ready*, but no longer than *seconds*.

    Return the exit code of ``snakeval`` if the child ends before, or None if it continues.
    """
    until = time.monotonic() + seconds
    while (code := child.poll()) is None and not ready() and time.monotonic() < until:
        time.sleep(0.1)
    return None if code is None else _exit_code(code)
