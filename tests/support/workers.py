"""Starts the processes of pytest-xdist as forks of a process that has imported the tests.

The imports of the test files take three seconds of processor time, and a fork has them already.
`share` starts this program, and each process that pytest-xdist starts then runs
`support.as_fork`, which asks it for a fork. As pytest-xdist expects, a fork reads what it is to do
from its standard input.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # The tests' folders are on the path of the process that starts this one.
    sys.path[:] = json.loads(sys.argv[1])["path"]

from support import fork_server
from support.fork_server import WITHOUT_THREADS, receive
from support.limits import HUNG

if TYPE_CHECKING:
    import pytest

_CLIENT = Path(__file__).with_name("as_fork.py")


# --- in the process that shares out the tests -----------------------------------------------


def share(config: pytest.Config, specs: list[Any]) -> None:
    """Start the process whose forks those of *specs* become, and wait for its imports."""
    address = f"snakeval-workers-{uuid.uuid4()}"
    asked = {
        "address": address,
        "arguments": [*map(str, config.invocation_params.args)],
        "path": sys.path,
    }
    said = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-u", __file__, json.dumps(asked)],
        cwd=config.invocation_params.dir,
        env={**os.environ, **WITHOUT_THREADS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(_end, process)
    if process.stdout.readline() != b"ready\n":
        said.seek(0)
        raise RuntimeError(f"the tests cannot be imported: {said.read().decode()}")
    for spec in specs:
        spec.python = f"{sys.executable} -I -S {_CLIENT} {address}"


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=HUNG)


# --- in the process that imports the tests --------------------------------------------------


def _import_all(arguments: list[str]) -> None:
    """Import the plugins of pytest and the test files, as a process of pytest-xdist does."""
    from _pytest.config import _prepareconfig
    from _pytest.pathlib import ImportMode, import_path

    # Its standard streams are those that the forks replace.
    config = _prepareconfig([*arguments, "--capture=no"], None)
    importlib.import_module("xdist.remote")
    for file in _sources(config):
        before = {*sys.modules}
        try:
            import_path(
                file, mode=ImportMode.importlib, root=config.rootpath,
                consider_namespace_packages=False,
            )  # fmt: skip
        except BaseException:
            # Each fork imports the file again, and reports the problem or skips the file.
            for name in {*sys.modules} - before:
                if getattr(sys.modules[name], "__file__", None) == str(file):
                    del sys.modules[name]
    config._ensure_unconfigure()


def _sources(config: pytest.Config) -> list[Path]:
    """Return the test files in what the command line names."""
    places = [config.invocation_params.dir / name.partition("::")[0] for name in config.args]
    return [
        file
        for place in places
        for file in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))
    ]


class _Server:
    """Forks itself for each process that connects, and tells it how the fork ended."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"\0{address}")
        self._listener.listen(64)
        #: By what shows its end: each fork, and who waits for it.
        self._forks: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> dict[str, Any] | None:
        """Return in each fork what it is to do, and in the server None, at the end."""
        while True:
            waiting = [channel for _, channel in self._forks.values()]
            ready = select.select([0, self._listener, *self._forks, *waiting], [], [])[0]
            if 0 in ready:
                return None
            for handle, (pid, channel) in [*self._forks.items()]:
                if channel in ready:
                    os.kill(pid, signal.SIGKILL)  # who waits for it was killed
                if channel in ready or handle in ready:
                    self._reap(handle)
            if self._listener in ready and (asked := self._forked()):
                return asked

    def _forked(self) -> dict[str, Any] | None:
        """Fork; in the fork, return what it is to do."""
        channel, _ = self._listener.accept()
        asked, files = receive(channel)
        if (pid := os.fork()) == 0:
            for other in (self._listener, channel, *(c for _, c in self._forks.values())):
                other.close()
            for handle in self._forks:
                os.close(handle)
            _become(asked, files)
            return dict(asked)
        for file in files:
            os.close(file)
        self._forks[os.pidfd_open(pid)] = pid, channel
        return None

    def _reap(self, handle: int) -> None:
        pid, channel = self._forks.pop(handle)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        with channel, contextlib.suppress(BrokenPipeError):
            channel.sendall(str(os.waitstatus_to_exitcode(status) & 0xFF).encode())


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """Give a fork the files, the directory and the environment of who asks for it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time.tzset()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    fork_server.open_standard_files()


def _main() -> None:
    asked = json.loads(sys.argv[1])
    # Ctrl-C is for the forks; this process ends with the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all(asked["arguments"])
    threads = os.listdir("/proc/self/task")  # noqa: PTH208
    if len(threads) > 1:
        raise RuntimeError(f"imports of the tests started {len(threads) - 1} threads")
    gc.collect()
    gc.freeze()
    server = _Server(asked["address"])
    print("ready")
    request = server.serve()
    if request is not None:
        code = request["words"][-1]
        sys.argv = ["-c"]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            exec(code, main.__dict__)
        except SystemExit as ended:
            fork_server.end(ended.code)
        fork_server.end(None)


if __name__ == "__main__":
    _main()
