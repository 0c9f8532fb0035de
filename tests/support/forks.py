"""Starts the commands of tests as forks of a process that has imported Snakemake.

The imports take two seconds of processor time, and a fork has them already. `Process` is a
`subprocess.Popen` for `python -m ...`. It starts a new process if a fork could differ from one: if
the environment changes what the imports do, or for a command of another kind.

The marker `real_processes` makes every command of a test a new process. The variable
`SNAKEVAL_REAL_PROCESSES=1` does it for all tests, for example to measure coverage.
"""

from __future__ import annotations

import atexit
import inspect
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

from support import fork_server
from support.fork_server import ROOM, ROOM_VARIABLE, WITHOUT_THREADS, receive, send
from support.limits import HUNG

_START = subprocess.Popen._execute_child  # type: ignore[attr-defined]
_PARAMETERS = inspect.signature(_START)
#: As it is before any test changes it.
_ENVIRONMENT = dict(os.environ)


class _Server:
    """The process that this one's forks come from; the first request starts it.

    Its imports take seconds of processor time, so the processes of pytest-xdist share one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._channel: socket.socket | None = None
        #: Where another process's server listens, if any.
        self.address = ""
        self._said: Any = None
        #: Processor time of the forks that ended, and of their children.
        self.seconds = 0.0

    def ask(self, request: dict[str, Any], files: Sequence[int] = ()) -> tuple[Any, list[int]]:
        with self._lock:
            if self._channel is None:
                self._channel = self._connected() if self.address else self._started(_ENVIRONMENT)
            send(self._channel, request, files)
            answer, handles = receive(self._channel)
        if answer is None:
            if self._said is None:
                raise RuntimeError("the server of forks ended; with -n 0 it says why")
            self._said.seek(0)
            raise RuntimeError(f"the server of forks ended: {self._said.read().decode()}")
        return answer, handles

    def share(self) -> str:
        """Return an address for other processes; the first that connects starts the server."""
        address = f"snakeval-forks-{uuid.uuid4()}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"\0{address}")
        listener.listen(64)

        def start() -> None:
            first, _ = listener.accept()
            environment, _ = receive(first)
            with self._lock:
                self._channel = self._started(environment, first, listener)
            first.close()

        threading.Thread(target=start, daemon=True).start()
        return address

    def _connected(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(f"\0{self.address}")
        send(channel, _ENVIRONMENT)
        return channel

    def _started(self, environment: dict[str, str], *more: socket.socket) -> socket.socket:
        channel, other = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        files = [each.fileno() for each in (other, *more)]
        command = [sys.executable, fork_server.__file__, ",".join(map(str, files)), ROOM]
        process = subprocess.Popen(
            command,
            cwd="/",
            env={**environment, **WITHOUT_THREADS, ROOM_VARIABLE: ROOM},
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=files,
            start_new_session=True,
        )
        other.close()
        atexit.register(self._end, channel, process)
        return channel

    def _end(self, channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
        channel.close()
        process.wait(timeout=HUNG)


_SERVER = _Server()
_real = os.environ.get("SNAKEVAL_REAL_PROCESSES") == "1" or not Path("/proc/self/stat").exists()


def share() -> str:
    """Let other processes use this one's server; return its address."""
    return _SERVER.share()


def use(address: str) -> None:
    """Use the server of the process that shares it.

    This process may be a fork (`support.workers`), whose environment was another one when it
    imported this module.
    """
    global _ENVIRONMENT
    _ENVIRONMENT = dict(os.environ)
    _SERVER.address = address


def are_real() -> bool:
    """Whether only new processes start."""
    return _real


@contextmanager
def real_processes() -> Iterator[None]:
    """Start only new processes while the context lasts."""
    global _real
    before, _real = _real, True
    try:
        yield
    finally:
        _real = before


def with_first(environment: Mapping[str, str], place: Path, program: str) -> dict[str, str]:
    """Return an environment in which Python and snakeval's commands run a program first."""
    place.mkdir(exist_ok=True)
    file = place / "sitecustomize.py"
    file.write_text(program)
    first = {"PYTHONPATH": str(place)} if _real else {fork_server.FIRST_VARIABLE: str(file)}
    return {**environment, **first}


def spent() -> float:
    """Return the processor time of the forks that ended, in seconds."""
    return _SERVER.seconds


class Process(subprocess.Popen[str]):
    """A command that runs as a fork; `refused` is the reason if it is a new process.

    With `terminal` its standard input becomes its controlling terminal.
    """

    def __init__(self, command: Sequence[str], *, terminal: bool = False, **options: Any) -> None:
        self._terminal = terminal
        self._handle: int | None = None
        self.refused = ""
        super().__init__(command, **options)

    def _execute_child(self, *arguments: Any) -> None:
        asked = _PARAMETERS.bind(self, *arguments).arguments
        request = None if _real else fork_server.request_of(asked)
        if request is None:
            self.refused = "new processes are asked for, or it is no `python -m`"
            self._start_new(asked)
            return
        request["terminal"] = self._terminal
        answer, handles = _SERVER.ask(request, fork_server.files_of(asked))
        if "refused" in answer:
            self.refused = answer["refused"]
            self._start_new(asked)
            return
        (self._handle,) = handles
        self.pid = answer["pid"]
        self._child_created = True
        fork_server.close_pipes(self, asked)

    def _start_new(self, asked: dict[str, Any]) -> None:
        if self._terminal:
            asked["preexec_fn"] = fork_server.own_terminal
        _START(**asked)

    def _internal_poll(self, *arguments: Any, **options: Any) -> int | None:
        if self._handle is None:
            found: int | None = super()._internal_poll(*arguments, **options)  # type: ignore[misc]
            return found
        if self.returncode is None and self._has_ended(0):
            self._reap()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._handle is None:
            found: int = super()._wait(timeout)  # type: ignore[misc]
            return found
        if self.returncode is None:
            if not self._has_ended(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._reap()
        return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        assert self._handle is not None
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, timeout * 1000)))

    def _reap(self) -> None:
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                answer, _ = _SERVER.ask({"reap": self.pid})
                _SERVER.seconds += answer["seconds"]
                self.returncode = os.waitstatus_to_exitcode(answer["status"])
                os.close(self._handle)  # type: ignore[arg-type]


def module() -> Any:
    """Return what stands for the module `subprocess` in code that starts commands."""
    return SimpleNamespace(**{**vars(subprocess), "Popen": Process})


def finished(
    command: Sequence[str], *, timeout: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does, and return what it printed."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Process(command, text=True, **pipes, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
