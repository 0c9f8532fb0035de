"""Starts a gateway beside a harness, watches it, and lets it drain.

::

    with beside(directory, {"model": {"url": …, "identity": …, "key": …}}, lost) as gateway:
        run_harness(gateway.urls["model"], gateway.token)

One fate downwards, none upwards: if the gateway dies, ``lost`` ends the harness. If this process
dies, the gateway reads the end of its standard input, drains and ends by itself, and the next
attempt waits for it.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from snakeval.ledger import summary

#: Seconds until a gateway is ready, with a large journal on a slow disk.
READY = 120.0
#: Seconds beyond the grace after which a draining gateway is killed.
_SLACK = 5.0
#: Runs the same files as this process, also from a copy that is not installed. The folder is on the
#: path for one import only: its other packages must not hide modules of the standard library.
_COMMAND = (
    "import sys; sys.path.insert(0, sys.argv[1]); import snakeval; del sys.path[0]; "
    "from snakeval.ledger.__main__ import main; sys.exit(main())"
)
_ROOT = Path(__file__).resolve().parent.parent.parent


class NotStarted(Exception):
    """The gateway cannot start."""


class Gateway:
    """A gateway that runs beside a harness.

    Attributes:
        urls: the URL of each upstream at the gateway, with the path of the endpoint's URL.
        token: takes the place of all keys for this attempt.
        port: of the gateway.
        used_up: whether it ended since the run's budget is used up.
    """

    def __init__(
        self, process: subprocess.Popen[str], port: int, urls: dict[str, str], token: str
    ) -> None:
        self.urls, self.token, self.port = urls, token, port
        self.used_up = False
        self._process = process
        self._ending = self._killed = False
        self._closing = threading.Lock()

    @property
    def pid(self) -> int:
        """The gateway's process."""
        return self._process.pid

    def move(self, upstream: str, url: str) -> None:
        """Let an upstream ask at another URL from now on.

        Raises:
            OSError: the gateway is dead.
        """
        with self._closing:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps({"upstream": upstream, "url": url}) + "\n")
                self._process.stdin.flush()

    def watch(self, lost: Callable[[str], None]) -> None:
        """Call *lost* with a reason if the gateway ends by itself, or could not keep an answer."""
        assert self._process.stderr is not None
        text = self._process.stderr.read()
        code = self._process.wait()
        self.used_up = code == summary.USED_UP
        # A kill closes its connections, of which a harness may end, before its process has ended.
        by_itself = not self._ending or (code < 0 and not self._killed)
        if by_itself or code in (summary.UNWRITABLE, summary.USED_UP):
            last = text.strip().splitlines()[-1:] or [f"exit code {code}"]
            lost(f"the gateway ended: {last[0].removeprefix('error: ')}")

    def begin_drain(self) -> None:
        """Let the gateway finish the requests under way and end, without waiting for it."""
        with self._closing:
            if not self._ending and self._process.poll() is not None:
                return  # it ended by itself, which `watch` reports
            self._ending = True
            if self._process.stdin is None:
                return
            # The gateway may have ended before it read the last order.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.stdin = None

    def drain(self, grace: float) -> None:
        """Let the gateway finish the requests under way, and wait for its end."""
        self.begin_drain()
        try:
            self._process.wait(grace + _SLACK)
        except subprocess.TimeoutExpired:
            self._killed = True
            self._process.kill()
            self._process.wait()


@contextmanager
def beside(
    directory: Path,
    upstreams: Mapping[str, Mapping[str, Any]],
    lost: Callable[[str], None],
    *,
    address: str = "127.0.0.1",
    grace: float = 45.0,
    pause: Callable[[float], None] = time.sleep,
    **options: Any,
) -> Iterator[Gateway]:
    """Run a gateway while a harness runs.

    Args:
        directory: of the evaluation's requests.
        upstreams: the endpoints by name, as :mod:`snakeval.ledger.__main__` describes them.
        lost: receives the reason, in another thread, if the gateway dies.
        address: to listen on.
        grace: seconds for which the gateway drains.
        pause: sleeps while a gateway of an earlier attempt drains; it may raise to stop waiting.
        options: ``mode``, ``offline`` and ``budget``.

    Raises:
        NotStarted: the gateway cannot start.
        OSError: the directory cannot be written.
    """
    directory = directory.absolute()
    summary.wait_for_end(directory / "gateway", pause)
    token = secrets.token_hex(16)
    config = {
        "directory": str(directory),
        "listen": [address],
        "token": token,
        "grace": grace,
        "upstreams": {name: dict(upstream) for name, upstream in upstreams.items()},
        **options,
    }
    process = start(config)
    port = _port_of(process)
    base = f"http://{_bracketed(address)}:{port}"
    urls = {
        # A harness sends no key to an endpoint without one, so the token is in the path.
        name: f"{base}{'' if upstream.get('key') else '/' + token}/{name}{path_of(upstream)}"
        for name, upstream in upstreams.items()
    }
    gateway = Gateway(process, port, urls, token)
    watcher = threading.Thread(target=gateway.watch, args=(lost,), daemon=True)
    watcher.start()
    try:
        yield gateway
    finally:
        gateway.drain(grace)
        watcher.join()


def start(config: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Start a gateway's process.

    It has a session of its own, so that a signal to this process's group does not reach it, and
    ``/`` as its directory, from which Python imports nothing.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(_ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        # The process is dead already; its error output says why.
        process.stdin = None
    return process


def _port_of(process: subprocess.Popen[str]) -> int:
    """Wait until a gateway is ready; return its port."""
    assert process.stdout is not None
    timer = threading.Timer(READY, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if not line:
        _, error = process.communicate()
        reason = (error.strip().splitlines() or [f"not ready within {READY:g} s"])[-1]
        raise NotStarted(reason.removeprefix("error: "))
    port: int = json.loads(line)["port"]
    return port


def path_of(upstream: Mapping[str, Any]) -> str:
    """Return the path of an upstream's URL, with its query."""
    parts = urlsplit(str(upstream["url"]))
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
